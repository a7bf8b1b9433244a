"""The sender: C-STORE and C-ECHO SCU."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread, uid
from pydicom.errors import InvalidDicomError
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import LocalFile, StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, unreadable

from .contexts import UNCOMPRESSED, VERIFICATION, proposed_syntaxes
from .file_meta import read_file_meta
from .wire.association import DEFAULT_TIMEOUT_SECONDS, open_association
from .wire.status import Status, is_delivered, is_permanent, sentence

MAX_CONTEXTS = 128


@dataclass(frozen=True)
class _Instance:
    file: StoredFile
    sop_class_uid: uid.UID
    transfer_syntax_uid: uid.UID

    @property
    def proposal(self) -> tuple[uid.UID, tuple[uid.UID, ...]]:
        """The presentation context to propose for it: SOP class and transfer syntaxes."""
        return self.sop_class_uid, proposed_syntaxes(self.transfer_syntax_uid)


def send(
    destination: Station,
    files: Iterable[StoredFile],
    caller: Caller,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> Iterator[Sent]:
    """Send files in their order, over one association while it holds.

    Where the peer ends the association in the middle of a file, that file has failed for now, and the rest
    goes over another one. Files are sent as they are, in pieces; only an uncompressed data set is converted
    between implicit and explicit VR, for a peer that takes no other.

    Args:
        destination: Where to.
        files: DICOM files.
        caller: How the node appears there.
        timeout_seconds: How long to wait for the connection, and for each answer.

    Yields:
        For each file, as soon as it is known, what became of it.
    """
    waiting: list[_Instance] = []
    for file in files:
        try:
            waiting.append(_read_instance(file))
        except (OSError, InvalidDicomError, AttributeError) as error:
            yield unreadable(file, error)
    while waiting:
        batch = _fitting(waiting)
        done = 0
        try:
            contexts = _propose(batch)
            with open_association(
                destination, caller.ae_title, contexts, timeout_seconds, caller.tls
            ) as association:
                for number, instance in enumerate(batch, 1):
                    sent = _send_one(association, destination, instance, number)
                    done = number
                    yield sent
                    if sent.status is None:
                        association.abort()
                        break
        except Unreachable as error:
            yield from (Sent(instance.file, None, str(error)) for instance in waiting)
            return
        waiting = waiting[done:]


def echo(
    destination: Station,
    caller: Caller,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> float:
    """Ask a station whether it is there.

    Returns:
        The seconds that association and C-ECHO took.

    Raises:
        Unreachable: It is not, or does not answer C-ECHO.
    """
    started = time.monotonic()
    contexts = [build_context(VERIFICATION, list(UNCOMPRESSED))]
    with open_association(destination, caller.ae_title, contexts, timeout_seconds, caller.tls) as association:
        if not association.accepted_contexts:
            raise Unreachable(f"{destination} takes the association but not C-ECHO.")
        status = association.send_c_echo()
        if "Status" not in status:
            raise Unreachable(f"{destination} did not answer the C-ECHO.")
        if status.Status != Status.SUCCESS:
            raise Unreachable(f"{destination} answered the C-ECHO with status 0x{status.Status:04X}.")
    return time.monotonic() - started


def _read_instance(file: StoredFile) -> _Instance:
    meta = read_file_meta(file)
    return _Instance(file, uid.UID(meta.MediaStorageSOPClassUID), uid.UID(meta.TransferSyntaxUID))


def _fitting(waiting: list[_Instance]) -> list[_Instance]:
    """As many instances from the front as the presentation contexts of one association do for."""
    proposals: set[tuple[uid.UID, tuple[uid.UID, ...]]] = set()
    for count, instance in enumerate(waiting):
        proposals.add(instance.proposal)
        if len(proposals) > MAX_CONTEXTS:
            return waiting[:count]
    return waiting


def _propose(batch: list[_Instance]) -> list[PresentationContext]:
    proposals = dict.fromkeys(instance.proposal for instance in batch)
    return [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in proposals]


def _send_one(association: Association, destination: Station, instance: _Instance, message_id: int) -> Sent:
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid
    }
    as_is = instance.transfer_syntax_uid in accepted
    if not as_is and not accepted.intersection(instance.proposal[1]):
        what = f"{instance.sop_class_uid.name} in {instance.transfer_syntax_uid.name}"
        reason = f"{destination} does not take {what}."
        return Sent(instance.file, Status.SOP_CLASS_NOT_SUPPORTED, reason, permanent=True)
    try:
        with _local_path(instance.file) as path:
            data_set = path if as_is else dcmread(path)
            answer = association.send_c_store(data_set, msg_id=message_id % 2**16)
    except Exception as error:  # whatever a damaged file, or an association that has just ended, brings about
        return Sent(instance.file, None, f"The file could not be sent: {type(error).__name__}.")
    if "Status" not in answer:
        return Sent(instance.file, None, f"{destination} ended the association, or did not answer in time.")
    status = int(answer.Status)
    if is_delivered(status):
        return Sent(instance.file, status)
    return Sent(instance.file, status, f"Not stored: {sentence(status)}.", is_permanent(status))


@contextmanager
def _local_path(file: StoredFile) -> Iterator[Path]:
    """A path of the file for the time of the block: pynetdicom sends in pieces from paths alone."""
    if isinstance(file, LocalFile):
        yield file.path
        return
    with tempfile.NamedTemporaryFile(prefix="boneage-", suffix=".dcm") as copy, file.open() as opened:
        shutil.copyfileobj(opened, copy)
        copy.flush()
        yield Path(copy.name)
