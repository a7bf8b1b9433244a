"""``boneage-node echo``: is a station there?"""

from __future__ import annotations

from typing import Annotated

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import ConfigOption, out
from .options import option


def echo(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION", help="Station to ask: AE@host:port, AE@host:port/tls, or a URL."
        ),
    ],
    ae_title: Annotated[
        str | None, option("listening.ae_title", "Calling AE title. Default: the node's.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Ask a station (C-ECHO) or a DICOMweb service (QIDO-RS) whether it answers.

    With /tls, its certificate is verified and ours shown as the settings of TLS say.

    Exit status: 0 when it answers, else 1.

    \b
    Examples:
      boneage-node echo ORTHANC@127.0.0.1:4242
      boneage-node echo PACS@pacs.example:2762/tls --config /etc/boneage-node.toml
      boneage-node echo https://pacs.example/dicom-web
    """  # noqa: D301 - click reads the backspace
    from boneage_node.exchange.destinations import parse
    from boneage_node.settings import load_settings
    from boneage_node.traffic.document import DocumentForm
    from boneage_node.traffic.outcome import Unreachable

    settings = load_settings(config, listening={"ae_title": ae_title})
    try:
        answer = parse(destination, DocumentForm.SR).probe(settings.caller)
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    except Unreachable as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
    out.print(f"{destination} {answer}.")
