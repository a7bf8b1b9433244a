"""Storage Commitment Push Model (DICOM PS3.4 Annex J), in both roles and on associations of either side."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Protocol, cast

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_context, build_role
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext

from boneage_node.errors import BoneAgeError
from boneage_node.logs import class_name, get_logger
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.commitment import (
    MAX_OPEN_REQUESTS,
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    ReferencedSop,
    TooManyRequests,
)
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.store_status import StatusCode, is_permanent
from boneage_node.traffic.uid import is_uid

from .contexts import STORAGE_COMMITMENT, UNCOMPRESSED
from .identifiers import text
from .status import RequestError
from .wire.association import open_association
from .wire.associations import OpenAssociations
from .wire.bounds import BoundedBytes
from .wire.messages import decode_data_set
from .wire.requestor import ReportMessages

INSTANCE = uid.UID("1.2.840.10008.1.20.1.1")
"""The well-known SOP Instance to which every request and result refers."""
REQUEST_ACTION = 1
ALL_COMMITTED_EVENT, SOME_FAILED_EVENT = 1, 2
MAX_REFERENCES = 2000
"""Objects that one request or result of a peer may refer to."""
REQUEST_BATCH = 200
"""Most objects that a request of the node refers to."""
LINGER_SECONDS = 5.0
"""Time that an association stays open for the result; a later one comes on an association of its own."""

_log = get_logger()


class CommitmentStatus(StatusCode):
    """Status of a response to an N-ACTION or an N-EVENT-REPORT (PS3.7 Annex C)."""

    SUCCESS = 0x0000, "kept: the database knows it"
    PROCESSING_FAILURE = 0x0110, "the database cannot take it: send it again later"
    NO_SUCH_INSTANCE = 0x0112, f"not addressed to the well-known SOP Instance `{INSTANCE}`"
    NO_SUCH_EVENT_TYPE = 0x0113, f"event type other than {ALL_COMMITTED_EVENT} and {SOME_FAILED_EVENT}"
    INVALID_ARGUMENT_VALUE = (
        0x0115,
        "the data set cannot be read, names nothing or lacks a valid UID, or the result is of a request that "
        "the node never made",
    )
    NO_SUCH_SOP_CLASS = 0x0118, "another SOP class"
    NO_SUCH_ACTION = 0x0123, f"action type other than {REQUEST_ACTION}"
    RESOURCE_LIMITATION = (
        0x0213,
        f"more than {MAX_REFERENCES:,} references or {BoundedBytes.MAX_BYTES // 2**10} KiB, "
        f"{MAX_OPEN_REQUESTS} requests waiting for their results, or a full disk",
    )


class NotSupported(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The peer does not take the SOP class; the text says so."""


class NotTaken(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The peer was reached and responded with a failure.

    Args:
        sentence: The failure.
        permanent: The same again will have the same response.
    """

    def __init__(self, sentence: str, *, permanent: bool) -> None:
        self.permanent = permanent
        super().__init__(sentence)


class CommitmentHandler(Protocol):
    """Receiver of peers' requests and of the results of the node's own."""

    def accept_request(self, request: CommitmentRequest) -> CommitmentRequest:
        """Keep a request; when this returns, it survives a power cut."""

    def result_here(self, request: CommitmentRequest) -> CommitmentResult | None:
        """Return the result where it has to go over the association of the request, else None."""

    def result_sent(self, request: CommitmentRequest, result: CommitmentResult) -> None:
        """Note that the peer has its result."""

    def accept_result(self, result: CommitmentResult) -> bool:
        """Keep the result of a request of the node's own; False where there is no such request."""


def commitment_context() -> PresentationContext:
    """Return the presentation context that is proposed and accepted."""
    context = build_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))
    # The result may come on an association that its sender opens as SCP; so both roles are taken.
    context.scu_role = context.scp_role = True
    return context


def send_request(
    station: Station,
    request: CommitmentRequest,
    caller: Caller,
    accept_result: Callable[[CommitmentResult], bool],
    is_done: Callable[[], bool],
    *,
    linger_seconds: float = LINGER_SECONDS,
) -> None:
    """Request storage commitment of a PACS, and take the result should it come on the same association.

    Args:
        station: The PACS.
        request: The request.
        caller: The node.
        accept_result: Keeps a result for good; False where the node made no such request.
        is_done: Whether the result need not be waited for any more.
        linger_seconds: Time to wait for the result here.

    Raises:
        Unreachable: It is not there, or does not respond.
        NotSupported: It does not take such requests.
        NotTaken: It does not take this one.
    """

    def respond(report: N_EVENT_REPORT, transfer_syntax: uid.UID) -> int:
        try:
            known = accept_result(read_result(report, transfer_syntax))
        except RequestError as error:
            return error.status
        return CommitmentStatus.SUCCESS if known else CommitmentStatus.INVALID_ARGUMENT_VALUE

    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = [_item(referenced) for referenced in request.references]
    with open_association(station, caller, [commitment_context()]) as association:
        if not association.accepted_contexts:
            raise NotSupported(f"{station} takes no storage commitment requests.")
        reports = ReportMessages(association, respond)
        status, _ = association.send_n_action(information, REQUEST_ACTION, STORAGE_COMMITMENT, INSTANCE)
        if "Status" not in status:  # so does one that would not know where to report
            raise Unreachable(
                f"{station} did not respond to the request for storage commitment: "
                "enter this node's AE title, address and port there, and see its log."
            )
        _require_success(status.Status, station, "the request for storage commitment")
        deadline = time.monotonic() + linger_seconds
        while association.is_established and time.monotonic() < deadline and not is_done():
            reports.serve()


def send_result(station: Station, result: CommitmentResult, caller: Caller) -> None:
    """Send a peer the result of its request, on an association that the node opens.

    Raises:
        Unreachable: It is not there, does not respond, or does not let the node report.
        NotTaken: It does not take the result.
    """
    role = build_role(STORAGE_COMMITMENT, scp_role=True)
    with open_association(station, caller, [commitment_context()], [role]) as association:
        if not association.accepted_contexts:
            raise Unreachable(f"{station} takes no storage commitment reports: allow them there.")
        event_type, information = _to_event(result)
        status, _ = association.send_n_event_report(information, event_type, STORAGE_COMMITMENT, INSTANCE)
        if "Status" not in status:
            raise Unreachable(f"{station} ended the association, or did not respond in time.")
        _require_success(status.Status, station, "the storage commitment report")


def handle_action(
    event: Event, handler: CommitmentHandler, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Respond to an N-ACTION request of a peer: with success once it is kept."""
    association = open_associations[event.assoc]
    calling_ae_title = event.assoc.requestor.ae_title.strip()
    try:
        action = cast(N_ACTION, event.request)
        request = read_request(action, event.context.transfer_syntax, calling_ae_title)
        request = handler.accept_request(request)
        result = handler.result_here(request)
    except Exception as error:
        return _refuse(error, "commitment request refused", association.number), None
    references = len(request.references)
    _log.info(
        "commitment requested", association=association.number, request=request.id, references=references
    )
    if result is not None:
        event_type, information = _to_event(result)
        association.messages.afterwards = partial(
            association.messages.send_report,
            (STORAGE_COMMITMENT, INSTANCE),
            event_type,
            information,
            event.context,
            partial(_note_result_sent, handler, request, result),
        )
    return int(CommitmentStatus.SUCCESS), None


def handle_report(
    event: Event, handler: CommitmentHandler, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Respond to an N-EVENT-REPORT request of a peer: with success once its result is kept."""
    report = cast(N_EVENT_REPORT, event.request)
    try:
        if not handler.accept_result(read_result(report, event.context.transfer_syntax)):
            raise _invalid("The node made no request with this Transaction UID")
    except Exception as error:
        number = open_associations[event.assoc].number
        return _refuse(error, "commitment result refused", number), None
    return int(CommitmentStatus.SUCCESS), None


def read_request(request: N_ACTION, transfer_syntax: uid.UID, calling_ae_title: str) -> CommitmentRequest:
    """Read the request of a peer.

    Raises:
        RequestError: It is no request for storage commitment.
    """
    _check_target(request.RequestedSOPClassUID, request.RequestedSOPInstanceUID)
    if request.ActionTypeID != REQUEST_ACTION:
        raise RequestError(CommitmentStatus.NO_SUCH_ACTION, "The only action is 1, request commitment")
    information = _decode(request.ActionInformation, transfer_syntax)
    transaction_uid = _uid(information, "TransactionUID")
    references = tuple(referenced for referenced, _ in _references(information, "ReferencedSOPSequence"))
    if not references:
        raise _invalid("ReferencedSOPSequence is missing")
    return CommitmentRequest(calling_ae_title, transaction_uid, references)


def read_result(report: N_EVENT_REPORT, transfer_syntax: uid.UID) -> CommitmentResult:
    """Read the result of a request from a peer's report; an object that is in both sequences has failed.

    Raises:
        RequestError: It is no result of storage commitment.
    """
    _check_target(report.AffectedSOPClassUID, report.AffectedSOPInstanceUID)
    if report.EventTypeID not in (ALL_COMMITTED_EVENT, SOME_FAILED_EVENT):
        raise RequestError(CommitmentStatus.NO_SUCH_EVENT_TYPE, "The event types are 1 and 2")
    information = _decode(report.EventInformation, transfer_syntax)
    transaction_uid = _uid(information, "TransactionUID")
    failed = {}
    if report.EventTypeID == SOME_FAILED_EVENT:
        for referenced, item in _references(information, "FailedSOPSequence"):
            failed[referenced.sop_instance_uid] = FailedReference(referenced, _failure_reason(item))
    committed = {
        referenced.sop_instance_uid: referenced
        for referenced, _ in _references(information, "ReferencedSOPSequence")
        if referenced.sop_instance_uid not in failed
    }
    return CommitmentResult(transaction_uid, tuple(committed.values()), tuple(failed.values()))


def _to_event(result: CommitmentResult) -> tuple[int, Dataset]:
    """Encode a result as event type and data set of an N-EVENT-REPORT."""
    information = Dataset()
    information.TransactionUID = result.transaction_uid
    if result.committed or not result.failed:
        information.ReferencedSOPSequence = [_item(referenced) for referenced in result.committed]
    if not result.failed:
        return ALL_COMMITTED_EVENT, information
    information.FailedSOPSequence = [_item(failure.referenced) for failure in result.failed]
    for item, failure in zip(information.FailedSOPSequence, result.failed, strict=True):
        item.FailureReason = failure.reason
    return SOME_FAILED_EVENT, information


def _require_success(status: int, station: Station, what: str) -> None:
    if status != CommitmentStatus.SUCCESS and not 0xB000 <= status <= 0xBFFF:
        sentence = f"{station} does not take {what} (status 0x{status:04X}); see its log."
        raise NotTaken(sentence, permanent=is_permanent(status))


def _note_result_sent(
    handler: CommitmentHandler, request: CommitmentRequest, result: CommitmentResult, status: int | None
) -> None:
    try:
        if status == CommitmentStatus.SUCCESS:
            handler.result_sent(request, result)
    except Exception as error:  # any database error: the result is sent again
        _log.warning("commitment result not noted", request=request.id, error=class_name(error))


def _refuse(error: Exception, event: str, association: int) -> Dataset:
    """Log the refusal of a request or result, and make the response; the association goes on."""
    refusal = error if isinstance(error, RequestError) else _refusal(error)
    _log.warning(
        event,
        association=association,
        status=f"0x{refusal.status:04X}",
        comment=refusal.comment,
        error=None if refusal is error else class_name(error),
    )
    return refusal.to_dataset()


def _refusal(error: Exception) -> RequestError:
    if isinstance(error, TooManyRequests):
        return RequestError(CommitmentStatus.RESOURCE_LIMITATION, "Too many requests are waiting")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RequestError(CommitmentStatus.RESOURCE_LIMITATION, "The disk is full")
    return RequestError(CommitmentStatus.PROCESSING_FAILURE, "The node cannot do it at the moment")


def _invalid(comment: str) -> RequestError:
    return RequestError(CommitmentStatus.INVALID_ARGUMENT_VALUE, comment)


def _check_target(sop_class_uid: uid.UID | None, sop_instance_uid: uid.UID | None) -> None:
    if sop_class_uid != STORAGE_COMMITMENT:
        raise RequestError(CommitmentStatus.NO_SUCH_SOP_CLASS, "Only of the Storage Commitment Push Model")
    if sop_instance_uid != INSTANCE:
        raise RequestError(CommitmentStatus.NO_SUCH_INSTANCE, "Not the well-known SOP Instance")


def _decode(data: BytesIO | None, transfer_syntax: uid.UID) -> Dataset:
    if isinstance(data, BoundedBytes) and data.too_long:
        raise RequestError(CommitmentStatus.RESOURCE_LIMITATION, "The data set is too long")
    try:
        return decode_data_set(data or BytesIO(), transfer_syntax)
    except Exception as error:  # pydicom raises whatever the bytes bring about
        raise _invalid("The data set cannot be parsed") from error


def _references(information: Dataset, keyword: str) -> list[tuple[ReferencedSop, Dataset]]:
    """The objects that a sequence refers to, each with its item; none where the sequence is missing."""
    try:
        sequence = information.get(keyword)
    except Exception as error:  # the items are parsed only now
        raise _invalid(f"{keyword} cannot be parsed") from error
    if sequence is None:
        return []
    if not isinstance(sequence, Sequence):
        raise _invalid(f"{keyword} is not a sequence")
    if len(sequence) > MAX_REFERENCES:
        comment = f"More than {MAX_REFERENCES} references in one request"
        raise RequestError(CommitmentStatus.RESOURCE_LIMITATION, comment)
    return [
        (ReferencedSop(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")), item)
        for item in sequence
    ]


def _uid(item: Dataset, keyword: str) -> str:
    """A UID as it was sent: pydicom's own conversion would warn about a bad one, and quote it."""
    value = text(getattr(item.get_item(keyword), "value", None)) if keyword in item else ""
    if not is_uid(value):
        raise _invalid(f"{keyword} is missing or not a UID")
    return value


def _failure_reason(item: Dataset) -> int | None:
    try:
        return int(item.FailureReason)
    except Exception:  # missing, empty, or of whatever length and type the peer made it
        return None


def _item(referenced: ReferencedSop) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = referenced.sop_class_uid
    item.ReferencedSOPInstanceUID = referenced.sop_instance_uid
    return item
