"""``boneage-node start``: the node."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from boneage_node.errors import ExitCode, NodeError

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
    the database and goes on at the next start. All settings: python -m boneage_node.settings.table

    \b
    Examples:
      boneage-node start --ae-title BONEAGE --send-to ORTHANC@127.0.0.1:4242
      boneage-node start --host 0.0.0.0 --allow-ae DX_ROOM_1 --allow-address 10.20.0.0/16
      boneage-node start --config /etc/boneage-node.toml --role worker

    \b
    Exit status: 0 stopped as asked, 1 something unforeseen, 2 a setting,
      3 it would listen to everyone and was not told to, 4 port,
      5 database, 6 model or device, 7 data folder, 8 TLS files,
      9 the database server does not answer.
      Worth trying again as it is: 1, 4 and 9.
    """  # noqa: D301 - click reads the backspace
    from boneage_node.logs import configure_logs, get_logger
    from boneage_node.node.lock import Role
    from boneage_node.node.supervisor import Supervisor
    from boneage_node.settings import SettingsError, load_log_settings, load_settings, unknown_variables

    if role not in tuple(Role):
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role")
    logs = load_log_settings(config, **flags)
    configure_logs("node", logs)
    log = get_logger()
    for sentence in unknown_variables():
        log.warning("a variable is no setting", problem=sentence)
    try:
        Supervisor(load_settings(config, **flags), Role(role)).run()
    except (NodeError, SettingsError) as error:
        if not logs.is_json(sys.stderr):
            raise  # a person at a terminal gets the sentence alone
        code = error.code if isinstance(error, NodeError) else ExitCode.USAGE
        log.critical("node cannot start", problem=str(error), exit_status=int(code))
        raise typer.Exit(code) from error
    raise typer.Exit(ExitCode.OK)
