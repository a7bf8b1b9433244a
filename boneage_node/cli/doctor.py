"""``boneage-node doctor``: what is wrong, and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from boneage_node.errors import ExitCode

from .common import ConfigOption, DataDirOption, JsonOption, out
from .options import option

if TYPE_CHECKING:
    from boneage_node.node.checks import Finding


def doctor(
    send_to: Annotated[
        list[str] | None, option("delivery.send_to", "Destination to try instead of the settings' own.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, database, spool, disk, model, device, port, certificates and destinations.

    It makes and changes nothing, on the disk or in the database. Ask as the user that the node runs as: what
    that user may not read or write, root may.

    Exit status: 0 when all is well, 1 when something is to be mended.
    """
    findings = list(_findings(config, data_dir, send_to))
    if as_json:
        typer.echo(json.dumps([{"check": one.check, "ok": one.ok, "finding": one.text} for one in findings]))
    else:
        table = Table("check", "", Column("finding", overflow="fold"))
        for one in findings:
            outcome = Text("well", "green") if one.ok else Text("to be mended", "red")
            table.add_row(one.check, outcome, one.text)
        out.print(table)
    if not all(one.ok for one in findings):
        raise typer.Exit(ExitCode.FAILED)


def _findings(config: Path | None, data_dir: Path | None, send_to: list[str] | None) -> Iterator[Finding]:
    from boneage_node.node.checks import Finding, examine
    from boneage_node.settings import SettingsError, load_settings

    try:
        settings = load_settings(config, storage={"data_dir": data_dir}, delivery={"send_to": send_to})
    except SettingsError as error:
        yield Finding("settings", False, str(error))
    else:
        yield from examine(settings)
