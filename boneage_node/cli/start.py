"""``boneage-node start``: the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boneage_node.errors import ExitCode

from .common import ConfigOption, DataDirOption


def start(
    ae_title: Annotated[str | None, typer.Option(help="AE title of the node.  [default: BONEAGE]")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.  [default: 11112]")] = None,
    send_to: Annotated[
        list[str] | None,
        typer.Option(
            help="Destination of the reports: AE@host:port, AE@host:port/tls, or the URL of a DICOMweb "
            "service. May be given several times."
        ),
    ] = None,
    fhir_to: Annotated[
        list[str] | None,
        typer.Option(
            help="Base URL of a FHIR server, or absolute folder, for the results as FHIR. "
            "May be given several times."
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Certificate (PEM). With it, the port speaks TLS only.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="Authorities (PEM) that must vouch for peers, callers too.")
    ] = None,
    allow_ae: Annotated[
        list[str] | None, typer.Option(help="Calling AE title that may send. May be given several times.")
    ] = None,
    allow_address: Annotated[
        list[str] | None, typer.Option(help="Address or network that may send. May be given several times.")
    ] = None,
    open_to_all: Annotated[
        bool | None, typer.Option("--open-to-all", help="Listen beyond loopback with no allow-list.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="auto, cpu or cuda:N; one worker for each.  [default: auto]")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model of the zoo, or a folder.")] = None,
    sex_unknown: Annotated[
        str | None, typer.Option(help="Patients of unknown sex: refuse, or read as both.  [default: refuse]")
    ] = None,
    data_dir: DataDirOption = None,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql+psycopg://user@host/name, or SQLite.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="json, console or auto.")] = None,
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
    from boneage_node.node.opening import Role
    from boneage_node.node.supervisor import Supervisor
    from boneage_node.settings import load_settings

    if role not in tuple(Role):
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role")
    settings = load_settings(
        config,
        listening={
            "ae_title": ae_title,
            "host": host,
            "port": port,
            "allowed_ae_titles": allow_ae,
            "allowed_addresses": allow_address,
            "open_to_all": open_to_all,
        },
        tls={"certificate": tls_certificate, "key": tls_key, "ca": tls_ca},
        storage={"data_dir": data_dir, "database_url": database_url},
        reading={"device": device, "model": model, "sex_unknown": sex_unknown},
        delivery={"send_to": send_to, "fhir_to": fhir_to},
        logs={"format": log_format},
    )
    configure_logs("node", settings.logs)
    Supervisor(settings, Role(role)).run()
    raise typer.Exit(ExitCode.OK)
