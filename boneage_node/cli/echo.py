"""``boneage-node echo``: is a station there?"""

from __future__ import annotations

from typing import Annotated

import typer

from boneage_node.exit_codes import ExitCode, NodeError

from .common import out


def echo(
    destination: Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="The station to ask.")],
    ae_title: Annotated[str, typer.Option(help="Calling AE title.")] = "BONEAGE",
) -> None:
    """Ask a station whether it answers (C-ECHO). Exit status 1 when it does not.

    Example: boneage-node echo ORTHANC@127.0.0.1:4242
    """
    from boneage_node.dimse.sender import Destination, Unreachable
    from boneage_node.dimse.sender import echo as ask

    try:
        seconds = ask(Destination.parse(destination), ae_title)
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    except Unreachable as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
    out.print(f"{destination} answers, after {1000 * seconds:.0f} ms.")
