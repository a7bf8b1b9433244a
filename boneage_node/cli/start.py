"""``boneage-node start``: the node."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from boneage_node.errors import ExitCode

from .common import ConfigOption
from .options import with_settings_options


@with_settings_options
def start(
    flags: dict[str, Any],
    role: Annotated[
        str, typer.Option(help="all, or on several machines: receiver, worker or control.")
    ] = "all",
    config: ConfigOption = None,
) -> None:
    """Start the node: receive radiographs, read them, send reports.

    Runs until SIGTERM or Ctrl-C, which stop it cleanly: what is being read is finished, everything else is in
    the database and goes on at the next start. All settings: docs/settings.md.

    \b
    Examples:
      boneage-node start --ae-title BONEAGE --send-to ORTHANC@127.0.0.1:4242
      boneage-node start --host 0.0.0.0 --allow-ae DX_ROOM_1 --allow-address 10.20.0.0/16
      boneage-node start --config /etc/boneage-node.toml --role worker

    \b
    Exit status: 0 stopped as asked, 2 a setting is wrong, 3 would listen to everyone and was not told to,
    4 the port cannot be listened on, 5 database, 6 model or device, 7 data folder,
    8 certificate, key or CA file.
    """  # noqa: D301 - click reads the backspace
    from boneage_node.logs import configure_logs
    from boneage_node.node.preparation import Role
    from boneage_node.node.supervisor import Supervisor
    from boneage_node.settings import load_settings

    if role not in tuple(Role):
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role")
    settings = load_settings(config, **flags)
    configure_logs("node", settings.logs)
    Supervisor(settings, Role(role)).run()
    raise typer.Exit(ExitCode.OK)
