"""What is looked at before a node can be trusted to work: settings, database, disk, model, port, peers."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from boneage_node.errors import ExitCode, NodeError
from boneage_node.exchange.destination import Destination
from boneage_node.settings import Settings

Finding = tuple[str, bool, str]
"""What was looked at, whether it is well, and what was found."""


def _examine(config: Path | None, data_dir: Path | None, send_to: list[str] | None) -> Iterator[Finding]:
    from boneage_node.settings import SettingsError, load_settings, unknown_variables

    try:
        settings = load_settings(config, storage={"data_dir": data_dir}, delivery={"send_to": send_to})
    except SettingsError as error:
        yield "settings", False, str(error)
        return
    stray = unknown_variables()
    unsafe = settings.listening.unsafe()
    problems = [*stray, *([unsafe] if unsafe else [])]
    yield "settings", not problems, " ".join(problems) or "every setting is valid"
    for what, look in (
        ("spool", _spool),
        ("disk", _disk),
        ("database", _database),
        ("model", _model),
        ("port", _port),
        ("TLS", _tls),
    ):
        yield _guarded(what, look, settings)
    for destination in settings.delivery.send_to:
        yield _guarded(f"destination {destination}", partial(_probe, destination=destination), settings)
    for destination in settings.delivery.fhir_to:
        yield _guarded(f"FHIR {destination}", partial(_probe, destination=destination), settings)
    if not settings.delivery.send_to and not settings.delivery.fhir_to:
        yield "destinations", True, "none is set: reports stay here. Name one with send_to (--send-to)"


def _guarded(what: str, look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return what, True, look(settings)
    except NodeError as error:
        return what, False, str(error)


def _spool(settings: Settings) -> str:
    folder = settings.storage.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / ".doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise NodeError(
            ExitCode.DATA_DIR, f"{folder} cannot be written: {error.strerror}. Name another with data_dir."
        ) from error
    return f"{folder} can be written"


def _disk(settings: Settings) -> str:
    try:
        free_mib = shutil.disk_usage(settings.storage.data_dir).free // 2**20
    except OSError as error:
        raise NodeError(
            ExitCode.DATA_DIR,
            f"The disk of {settings.storage.data_dir} cannot be looked at: {error.strerror}.",
        ) from error
    if free_mib <= settings.storage.reserve_mib:
        raise NodeError(
            ExitCode.DATA_DIR,
            f"{free_mib} MiB are free, not more than the {settings.storage.reserve_mib} MiB kept in reserve: "
            "images are refused. Make room.",
        )
    return f"{free_mib} MiB are free"


def _database(settings: Settings) -> str:
    from .opening import database_exists, masked, open_store

    if not database_exists(settings.storage):
        return f"{masked(settings.storage.database)} is not there yet: the first start makes it"
    with open_store(settings.storage) as store:
        jobs, deliveries = store.queue.counts(), store.outbox.counts()
        unanswered = store.commitments.counts()["unanswered"]
    lost = jobs["dead"] + deliveries["dead"] + unanswered
    waiting = f"{jobs['todo']} studies and {deliveries['todo']} reports are waiting"
    if lost:
        raise NodeError(
            ExitCode.FAILED,
            f"{jobs['dead']} studies were set aside, {deliveries['dead']} reports are dead letters and "
            f"{unanswered} were never committed: see boneage-node studies list, then "
            "boneage-node studies retry.",
        )
    return f"{masked(settings.storage.database)} is there and up to date; {waiting}"


def _model(settings: Settings) -> str:
    from boneage_node.reading.study import load_predictor

    predictors = [load_predictor(settings.reading.model, device) for device in settings.reading.device]
    devices = ", ".join(str(predictor.device) for predictor in predictors)
    return f"{predictors[0].identity} loads, and its sha256 is right, on {devices}"


def _port(settings: Settings) -> str:
    address = f"{settings.listening.host}:{settings.listening.port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.listening.host, settings.listening.port))
        except OSError as error:
            return f"{address} is not free ({error.strerror}): the node may be running"
    return f"{address} is free"


def _tls(settings: Settings) -> str:
    from boneage_node.net.tls import RENEW_DAYS, check_files, days_left

    check_files(settings.tls)
    days = days_left(settings.tls)
    if days is None:
        return "no certificate is set: the port speaks DICOM without TLS"
    if days < RENEW_DAYS:
        sentence = f"The certificate {settings.tls.certificate} expires in {days} days: have it renewed."
        raise NodeError(ExitCode.TLS, sentence)
    who = "with callers that tls.ca vouches for" if settings.tls.ca else "with any caller"
    return f"the certificate is valid for {days} days more; the port speaks TLS only, {who}"


def _probe(settings: Settings, destination: Destination) -> str:
    from boneage_node.traffic.outcome import Unreachable

    try:
        return destination.probe(settings.caller)
    except Unreachable as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
