"""``boneage-node doctor``: what is wrong, and how to mend it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from boneage_node.errors import ExitCode
from boneage_node.node.checks import (
    _examine,
)

from .common import ConfigOption, DataDirOption, JsonOption, out
from .options import option

if TYPE_CHECKING:
    pass


def doctor(
    send_to: Annotated[
        list[str] | None, option("delivery.send_to", "Destination to try instead of the settings' own.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, database, spool, disk, model, device, port, certificates and destinations.

    Exit status: 0 when all is well, 1 when something is to be mended.
    """
    findings = list(_examine(config, data_dir, send_to))
    if as_json:
        typer.echo(
            json.dumps([{"check": what, "ok": well, "finding": found} for what, well, found in findings])
        )
    else:
        table = Table("check", "", "finding")
        for what, well, found in findings:
            table.add_row(what, "[green]well[/]" if well else "[red]to be mended[/]", found)
        out.print(table)
    if not all(well for _, well, _ in findings):
        raise typer.Exit(ExitCode.FAILED)
