"""The sender: C-STORE and C-ECHO SCU."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from pydicom import Dataset, uid
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, printable, unreadable
from boneage_node.traffic.pixel_data import uncompressed
from boneage_node.traffic.store_status import (
    is_delivered,
    is_permanent,
    is_warning,
    sentence,
    warning_sentence,
)

from .contexts import UNCOMPRESSED, VERIFICATION, Proposal, proposals
from .status import Status
from .wire.association import open_association
from .wire.requestor import read_file_meta, send_as_stored

MAX_CONTEXTS = 128
COMMON_CLASSES: tuple[uid.UID, ...] = (uid.SecondaryCaptureImageStorage, uid.ComprehensiveSRStorage)
"""Proposed beside what is sent: whether a peer refuses a class, or takes no storage now, shows in them."""


@dataclass(frozen=True)
class _Instance:
    """A file, its transfer syntax, and the presentation contexts to propose for it."""

    file: StoredFile
    transfer_syntax_uid: uid.UID
    proposals: tuple[Proposal, ...]

    @property
    def sop_class_uid(self) -> uid.UID:
        """Its SOP class."""
        return self.proposals[0].sop_class_uid

    @property
    def syntaxes(self) -> set[uid.UID]:
        """The transfer syntaxes that it can be sent in."""
        return {syntax for proposal in self.proposals for syntax in proposal.syntaxes}


def send(
    station: Station, files: Iterable[StoredFile], caller: Caller, *, decompress: bool = False
) -> Iterator[Sent]:
    """Send files in their order, over one association while it holds.

    Where the peer ends the association in the middle of a file, that file has failed for now, and the rest
    goes over another one. A SOP class that a peer refuses is refused for good, but not where it accepts none
    at all: that is trouble of its own, or nothing is allowed yet.

    Files are sent as they are, each held in memory meanwhile; only an uncompressed data set is converted
    between implicit and explicit VR, for a peer that takes no other.

    Args:
        station: Where to.
        files: DICOM files.
        caller: How the node calls, and how long it waits.
        decompress: Decompress what the peer takes without compression alone: of files that the node has made.

    Yields:
        For each file its outcome, as soon as it is known.
    """
    waiting: list[_Instance] = []
    for file in files:
        try:
            waiting.append(_read_instance(file, decompress))
        except (OSError, InvalidDicomError, AttributeError) as error:
            yield unreadable(file, error)
    while waiting:
        batch = _fitting(waiting)
        done = 0
        try:
            contexts = _propose(batch)
            with open_association(station, caller, contexts) as association:
                _require_storage(association, station, caller)
                for number, instance in enumerate(batch, 1):
                    sent = _send_one(association, station, caller, instance, number)
                    done = number
                    yield sent
                    if sent.status is None:
                        association.abort()
                        break
        except Unreachable as error:
            yield from (Sent(instance.file, None, str(error)) for instance in waiting)
            return
        waiting = waiting[done:]


def echo(station: Station, caller: Caller) -> float:
    """Ask a station whether it is there.

    Returns:
        The seconds that association and C-ECHO took.

    Raises:
        Unreachable: It is not, or does not answer C-ECHO.
    """
    started = time.monotonic()
    contexts = [build_context(VERIFICATION, list(UNCOMPRESSED))]
    with open_association(station, replace(caller, waits=caller.waits.brief), contexts) as association:
        if not association.accepted_contexts:
            raise Unreachable(f"{station} takes the association but not C-ECHO.")
        status = association.send_c_echo()
        if "Status" not in status:
            raise Unreachable(f"{station} did not answer the C-ECHO.")
        if status.Status != Status.SUCCESS:
            raise Unreachable(f"{station} answered the C-ECHO with status 0x{status.Status:04X}.")
    return time.monotonic() - started


def refused_classes(station: Station, sop_classes: Collection[uid.UID], caller: Caller) -> list[uid.UID]:
    """Ask a station, by negotiating, which SOP classes it does not take from this node; nothing is sent.

    Raises:
        Unreachable: It is not there, or takes none of them.
    """
    contexts = [build_context(sop_class, list(UNCOMPRESSED)) for sop_class in sop_classes]
    with open_association(station, caller, contexts) as association:
        _require_storage(association, station, caller)
        taken = {context.abstract_syntax for context in association.accepted_contexts}
    return [sop_class for sop_class in sop_classes if sop_class not in taken]


def _read_instance(file: StoredFile, decompress: bool) -> _Instance:
    with file.open() as opened:
        meta = read_file_meta(opened)
    sop_class, syntax = uid.UID(meta.MediaStorageSOPClassUID), uid.UID(meta.TransferSyntaxUID)
    return _Instance(file, syntax, proposals(sop_class, syntax, decompress=decompress))


def _fitting(waiting: list[_Instance]) -> list[_Instance]:
    """As many instances from the front as the presentation contexts of one association do for."""
    proposed = set(_common())
    for count, instance in enumerate(waiting):
        proposed.update(instance.proposals)
        if len(proposed) > MAX_CONTEXTS:
            return waiting[:count]
    return waiting


def _propose(batch: list[_Instance]) -> list[PresentationContext]:
    proposed = dict.fromkeys(proposal for instance in batch for proposal in instance.proposals)
    proposed |= dict.fromkeys(_common())
    return [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in proposed]


def _common() -> list[Proposal]:
    return [Proposal(sop_class, UNCOMPRESSED) for sop_class in COMMON_CLASSES]


def _require_storage(association: Association, station: Station, caller: Caller) -> None:
    if not association.accepted_contexts:
        raise Unreachable(
            f"{station} takes the association, but no object at all: allow {caller.ae_title} to store there, "
            "and look into its log."
        )


def _send_one(
    association: Association, station: Station, caller: Caller, instance: _Instance, number: int
) -> Sent:
    accepted = {
        context.transfer_syntax[0]
        for context in association.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid
    }
    message_id = number % 2**16
    as_is = instance.transfer_syntax_uid in accepted
    if not as_is and not accepted & instance.syntaxes:
        what = f"{instance.sop_class_uid.name} in {instance.transfer_syntax_uid.name}"
        reason = f"{station} takes other objects, but no {what}: allow it there, then retry the dead letters."
        return Sent(instance.file, Status.SOP_CLASS_NOT_SUPPORTED, reason, permanent=True)
    started = time.monotonic()
    try:
        with instance.file.open() as file:
            if as_is:
                answer = send_as_stored(association, file, message_id)
            else:
                answer = association.send_c_store(uncompressed(file), msg_id=message_id)
    except Exception as error:  # whatever a damaged file, or an association that has just ended, brings about
        return Sent(instance.file, None, f"The file could not be sent: {type(error).__name__}.")
    if "Status" not in answer:
        patience_seconds = caller.waits.answer_seconds
        problem = f"{station} ended the association instead of answering: look into its log."
        if time.monotonic() - started >= patience_seconds:
            problem = f"{station} did not answer within {patience_seconds:g} s (waits.answer_seconds)."
        return Sent(instance.file, None, problem)
    return _judge(instance.file, answer)


def _judge(file: StoredFile, answer: Dataset) -> Sent:
    """Read from a response what became of a file."""
    status, remark = int(answer.Status), _remark(answer)
    if is_warning(status):
        return Sent(file, status, warning=warning_sentence(status), remark=remark)
    if is_delivered(status):
        return Sent(file, status)
    return Sent(file, status, f"Not stored: {sentence(status)}.", is_permanent(status), remark)


def _remark(answer: Dataset) -> str | None:
    """What a response says beside its status: the elements it is about, and a comment, of any quality."""
    elements = answer.get("OffendingElement")
    several = elements if isinstance(elements, list | MultiValue) else [elements]
    about = [str(element) for element in several if element is not None]
    comment = answer.get("ErrorComment")
    return printable([*about, *([str(comment)] if comment else [])])
