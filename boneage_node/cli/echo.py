"""``boneage-node echo``: is a station there?"""

from __future__ import annotations

from typing import Annotated

import typer

from boneage_node.exit_codes import ExitCode, NodeError

from .common import out


def echo(
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The station to ask: AE@host:port, or a URL.")
    ],
    ae_title: Annotated[str, typer.Option(help="Calling AE title.")] = "BONEAGE",
) -> None:
    r"""Ask a station (C-ECHO) or a DICOMweb service (QIDO-RS) whether it answers.

    Exit status: 0 when it does, else 1.

    \b
    Examples:
      boneage-node echo ORTHANC@127.0.0.1:4242
      boneage-node echo https://pacs.example/dicom-web
    """
    from boneage_node.delivery import probe
    from boneage_node.sending import Unreachable
    from boneage_node.settings import checked_destination, load_settings

    try:
        answer = probe(checked_destination(destination), load_settings(ae_title=ae_title))
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    except Unreachable as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
    out.print(f"{destination} {answer}.")
