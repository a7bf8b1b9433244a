"""The command line: one module a command.

What is slow to import (torch, pydicom, the database) is imported inside the commands, so that ``--help`` is
there at once.
"""

from __future__ import annotations

import sys

import typer

from boneage_node import __version__
from boneage_node.errors import ExitCode, NodeError
from boneage_node.logs import LogSettings, configure_logs
from boneage_node.settings import SettingsError, unknown_variables

from . import assess, doctor, echo, evaluate, fetch, models, phantom, replay, start, studies, train

app = typer.Typer(
    name="boneage-node",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reads the bone age from radiographs of children's hands, as a DICOM node or file by file.",
    epilog="Research use only: no result is verified. Start with: boneage-node replay",
)


_TELL_OF_VARIABLES = ("start", "doctor")
"""Commands that tell of variables that are no settings in their own way: in the log, as a finding."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"boneage-node {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options of the program itself."""
    configure_logs("boneage-node", LogSettings(level="warning"))
    if context.invoked_subcommand not in _TELL_OF_VARIABLES:
        for sentence in unknown_variables():
            typer.echo(f"Warning: {sentence}", err=True)


app.command("start")(start.start)
app.command("replay")(replay.replay)
app.command("assess")(assess.assess)
app.add_typer(studies.app, name="studies")
app.add_typer(models.app, name="models")
app.command("fetch")(fetch.fetch)
app.command("echo")(echo.echo)
app.command("doctor")(doctor.doctor)
app.command("phantom")(phantom.phantom)
app.add_typer(train.app, name="train")
app.command("evaluate")(evaluate.evaluate)


def main() -> None:
    """Run the command line; what a person has to mend becomes a sentence and an exit status."""
    try:
        app()
    except NodeError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(error.code)
    except SettingsError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(ExitCode.USAGE)
