"""Checks of what a node needs to work: settings, database, disk, model, port, certificates, destinations.

Each check returns what it found as a sentence, or raises a `NodeError` with what is to be mended. `examine`
makes findings of all of them, for the doctor or any other page that shows them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from boneage_node.errors import ExitCode, NodeError
from boneage_node.exchange.destination import Destination
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.net.calling import Caller
from boneage_node.net.listening import Listening
from boneage_node.net.tls import RENEW_DAYS, TlsFiles, check_files, days_left
from boneage_node.reading.settings import ReadingSettings
from boneage_node.settings import Settings, unknown_variables
from boneage_node.spool.storage import Storage

from .lock import Role, is_running, running_receiver

if TYPE_CHECKING:
    from pydicom.uid import UID

P = ParamSpec("P")

SILENT_SECONDS = 120.0
"""A control process that has left no sign of life for so long does not come round."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at.
        ok: Whether it is well.
        text: What was found, in a sentence.
    """

    check: str
    ok: bool
    text: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Make all checks, one after the other."""
    problems = [*unknown_variables(), *filter(None, [settings.listening.unsafe()])]
    yield Finding("settings", not problems, " ".join(problems) or "every setting is valid")
    yield _finding("spool", check_folder, settings.storage)
    yield _finding("disk", check_disk, settings.storage)
    yield _finding("database", check_database, settings.storage, settings.delivery)
    yield _finding("work", check_work, settings.storage)
    yield _finding("model", check_model, settings.reading)
    yield _finding("port", check_port, settings.listening, settings.storage.data_dir)
    yield _finding("TLS", check_certificates, settings.tls)
    delivery, caller = settings.delivery, settings.caller
    for destination in delivery.send_to:
        classes = settings.report.sop_classes()
        yield _finding(f"destination {destination}", check_destination, destination, caller, classes)
    for destination in delivery.fhir_to:
        yield _finding(f"FHIR {destination}", check_destination, destination, caller)
    if not delivery.send_to and not delivery.fhir_to:
        none = "none is set: reports stay here. Name one with send_to (--send-to)"
        yield Finding("destinations", True, none)


def check_folder(storage: Storage) -> str:
    """Check that the data folder can be written, or made by the first start. Nothing is made here."""
    folder, there = storage.data_dir, _nearest_folder(storage.data_dir)
    problem = _why_not_writable(folder if there == folder else there)
    if problem:
        raise NodeError(ExitCode.DATA_DIR, f"{folder} {problem}. Name another with data_dir (--data-dir).")
    if there != folder:
        return f"{folder} is not there yet: the first start makes it"
    owner = folder.stat().st_uid
    if owner != os.geteuid() and os.geteuid() == 0:
        return (
            f"{folder} is user {owner}'s, and is there; root may write anywhere, the node's user perhaps not"
        )
    return f"{folder} can be written"


def _nearest_folder(path: Path) -> Path:
    """The path itself where something is there, else the first of the folders above it that is."""
    while path != path.parent and not os.path.lexists(path):
        path = path.parent
    return path


def _why_not_writable(folder: Path) -> str | None:
    """Why this user cannot make files in a folder; None where it can. Asked without making one."""
    if not folder.is_dir():
        return f"cannot be used: {folder} is a file, and a folder is needed"
    if not os.access(folder, os.X_OK):
        return f"cannot be looked into by this user ({_user()})"
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "cannot be written: its file system is read-only"
    if not os.access(folder, os.W_OK):
        return f"cannot be written by this user ({_user()}): {folder} is user {folder.stat().st_uid}'s"
    return None


def _user() -> str:
    return f"user {os.geteuid()}"


def check_disk(storage: Storage) -> str:
    """Check that more space is free than what is kept in reserve."""
    try:
        free_mib = shutil.disk_usage(_nearest_folder(storage.data_dir)).free // 2**20
    except OSError as error:
        raise NodeError(
            ExitCode.DATA_DIR, f"The disk of {storage.data_dir} cannot be looked at: {error.strerror}."
        ) from error
    if free_mib <= storage.reserve_mib:
        raise NodeError(
            ExitCode.DATA_DIR,
            f"{free_mib} MiB are free, not more than the {storage.reserve_mib} MiB kept in reserve: "
            "images are refused. Make room.",
        )
    return f"{free_mib} MiB are free"


def check_database(storage: Storage, delivery: DeliverySettings) -> str:
    """Check that the database is up to date, and that nothing in it needs a person."""
    from boneage_node.store import database_exists, masked

    from .opening import open_store, unusable

    try:
        if not database_exists(storage.database):
            return f"{masked(storage.database)} is not there yet: the first start makes it"
    except OSError as error:
        raise unusable(masked(storage.database), error) from error
    with open_store(storage, read_only=True) as store:
        set_aside = store.studies.counts()["set_aside"]
        jobs, deliveries = store.queue.counts(), store.outbox.counts()
        undelivered = store.outbox.undelivered()
        unanswered = store.commitments.counts()["unanswered"]
    lost = set_aside + deliveries["dead"] + unanswered
    waiting = f"{jobs['todo']} studies and {deliveries['todo']} reports are waiting"
    named = {str(destination) for destination in (*delivery.send_to, *delivery.fhir_to)}
    former = ", ".join(sorted(undelivered.keys() - named))
    if former:
        waiting += f", some for {former}, which the settings do not name: see boneage-node studies redirect"
    if lost:
        raise NodeError(
            ExitCode.FAILED,
            f"{set_aside} studies were set aside, {deliveries['dead']} reports are dead letters and "
            f"{unanswered} were never committed: see boneage-node studies list, then "
            f"boneage-node studies retry. {waiting}.",
        )
    return f"{masked(storage.database)} is there and up to date; {waiting}"


def check_work(storage: Storage) -> str:
    """Check that what runs comes round with its work, and that nothing waits for the node itself."""
    from boneage_node.store import database_exists

    from .control import HEARTBEAT
    from .opening import open_store

    try:
        if not database_exists(storage.database):
            return "nothing has been started yet"
        opened = open_store(storage, read_only=True)
    except (NodeError, OSError):  # what is wrong with the database is said by its own check
        return "cannot be seen without the database"
    with opened as store:
        troubles = store.queue.troubles()
        seconds = store.heartbeats.seconds_since(HEARTBEAT)
    problems = [
        f"{number} studies wait for the node itself: {trouble}. They are read when that is mended."
        for trouble, number in troubles.items()
    ]
    running = is_running(storage.data_dir, Role.CONTROL)
    if running and (seconds is None or abs(seconds) > SILENT_SECONDS):
        problems.append(
            "The control process runs, but has not come round for some minutes: nothing is settled or "
            "delivered. It is ended and started again by itself; if this stays so, look into the log."
        )
    if problems:
        raise NodeError(ExitCode.FAILED, " ".join(problems))
    if not running:
        return "no node runs on this data folder here"
    return f"the control process came round {seconds:.0f} seconds ago"


def check_model(reading: ReadingSettings) -> str:
    """Check that the model loads on every device."""
    from boneage_node.reading.study import load_predictor

    predictors = [load_predictor(reading.model, device) for device in reading.device]
    devices = ", ".join(str(predictor.device) for predictor in predictors)
    return f"{predictors[0].identity} loads, and its sha256 is right, on {devices}"


def check_port(listening: Listening, data_dir: Path) -> str:
    """Look whether the port is free for the node, or this node's already.

    Whose it is, the lock in the data folder says.
    """
    address = f"{listening.host}:{listening.port}"
    problem = _why_not_bound(listening)
    in_use = problem is not None and problem.errno == errno.EADDRINUSE
    try:
        running = running_receiver(data_dir)
    except OSError:
        if in_use:
            return f"{address} is in use; whether by this node, {_user()} may not see in {data_dir}"
        running = None
    if in_use and running is not None and running.port == listening.port:
        return f"this node listens on {address}, as process {running.process_id}"
    if problem is not None:
        raise NodeError(ExitCode.PORT, listening.problem(problem))
    if running is not None:
        other = f"process {running.process_id}, listens on port {running.port}"
        return f"{address} is free; the node that runs on this data folder, {other}"
    return f"{address} is free"


def _why_not_bound(listening: Listening) -> OSError | None:
    try:
        listening.bind().close()
    except OSError as error:
        return error
    return None


def check_certificates(tls: TlsFiles) -> str:
    """Check the files of TLS, and how long the node's certificate is valid."""
    check_files(tls)
    days = days_left(tls)
    if days is None:
        return "no certificate is set: the port speaks DICOM without TLS"
    if days < RENEW_DAYS:
        sentence = f"The certificate {tls.certificate} expires in {days} days: have it renewed."
        raise NodeError(ExitCode.TLS, sentence)
    who = "with callers that tls.ca vouches for" if tls.ca else "with any caller"
    return f"the certificate is valid for {days} days more; the port speaks TLS only, {who}"


def check_destination(destination: Destination, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
    """Check that a destination answers, and takes what is sent there."""
    from boneage_node.traffic.outcome import Unreachable

    try:
        return destination.probe(caller, sop_classes)
    except Unreachable as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error


def _finding(check: str, look: Callable[P, str], *args: P.args, **kwargs: P.kwargs) -> Finding:
    try:
        return Finding(check, True, look(*args, **kwargs))
    except NodeError as error:
        return Finding(check, False, str(error))
