"""Storage Commitment Push Model (DICOM PS3.4 Annex J): its UIDs, statuses, and data sets read and written."""

from __future__ import annotations

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from boneage_node.traffic.commitment import (
    MAX_OPEN_REQUESTS,
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    ReferencedSop,
)
from boneage_node.traffic.uid import is_uid

from .contexts import STORAGE_COMMITMENT, UNCOMPRESSED
from .identifiers import text
from .status import RequestError, StatusCode
from .wire.bounds import BoundedBytes
from .wire.requests import DataSetTooLong, NormalizedRequest

STORAGE_COMMITMENT_INSTANCE = uid.UID("1.2.840.10008.1.20.1.1")
"""The well-known SOP Instance to which every request and result refers."""
REQUEST_ACTION = 1
ALL_COMMITTED_EVENT, SOME_FAILED_EVENT = 1, 2
MAX_REFERENCES = 2000
"""Objects that one request or result may refer to."""


class CommitmentStatus(StatusCode):
    """Status with which the node answers an N-ACTION or an N-EVENT-REPORT (PS3.7 Annex C)."""

    SUCCESS = 0x0000, "kept: the database knows it"
    PROCESSING_FAILURE = 0x0110, "the database cannot take it: send it again later"
    NO_SUCH_INSTANCE = 0x0112, f"not addressed to the well-known SOP Instance `{STORAGE_COMMITMENT_INSTANCE}`"
    NO_SUCH_EVENT_TYPE = 0x0113, f"event type other than {ALL_COMMITTED_EVENT} and {SOME_FAILED_EVENT}"
    INVALID_ARGUMENT_VALUE = (
        0x0115,
        "the data set cannot be read, names nothing or lacks a valid UID, or the report is on a request that "
        "the node never made",
    )
    NO_SUCH_SOP_CLASS = 0x0118, "another SOP class"
    NO_SUCH_ACTION = 0x0123, f"action type other than {REQUEST_ACTION}"
    RESOURCE_LIMITATION = (
        0x0213,
        f"more than {MAX_REFERENCES:,} references or {BoundedBytes.MAX_BYTES // 2**10} KiB, "
        f"{MAX_OPEN_REQUESTS} requests waiting for their answers, or a full disk",
    )


class CommitmentError(RequestError[CommitmentStatus]):
    """A storage commitment request or result that is answered with a failure."""


def commitment_context() -> PresentationContext:
    """Return the presentation context that is proposed and accepted."""
    context = build_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))
    # The result may come on an association that its sender opens as SCP; so both roles are taken.
    context.scu_role = context.scp_role = True
    return context


def to_action_information(request: CommitmentRequest) -> Dataset:
    """Encode a request as the data set of an N-ACTION."""
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = [_item(referenced) for referenced in request.references]
    return information


def to_event_information(result: CommitmentResult) -> tuple[int, Dataset]:
    """Encode a result as event type and data set of an N-EVENT-REPORT."""
    information = Dataset()
    information.TransactionUID = result.transaction_uid
    if result.committed or not result.failed:
        information.ReferencedSOPSequence = [_item(referenced) for referenced in result.committed]
    if not result.failed:
        return ALL_COMMITTED_EVENT, information
    items = []
    for failure in result.failed:
        item = _item(failure.referenced)
        item.FailureReason = failure.reason
        items.append(item)
    information.FailedSOPSequence = items
    return SOME_FAILED_EVENT, information


def read_request(message: NormalizedRequest, calling_ae_title: str) -> CommitmentRequest:
    """Read the request of a peer from its N-ACTION.

    Raises:
        CommitmentError: It is no request that can be answered.
    """
    _check_target(message)
    if message.type_id != REQUEST_ACTION:
        raise CommitmentError(CommitmentStatus.NO_SUCH_ACTION, "The only action is 1, request commitment")
    information = _decode(message)
    transaction_uid = _uid(information, "TransactionUID")
    references = _references(information, "ReferencedSOPSequence")
    if not references:
        raise CommitmentError(CommitmentStatus.INVALID_ARGUMENT_VALUE, "ReferencedSOPSequence is missing")
    return CommitmentRequest(
        calling_ae_title, transaction_uid, tuple(referenced for referenced, _ in references)
    )


def read_result(message: NormalizedRequest) -> CommitmentResult:
    """Read the result of a request from the peer's N-EVENT-REPORT.

    Raises:
        CommitmentError: It is no result that can be understood.
    """
    _check_target(message)
    if message.type_id not in (ALL_COMMITTED_EVENT, SOME_FAILED_EVENT):
        raise CommitmentError(CommitmentStatus.NO_SUCH_EVENT_TYPE, "The event types are 1 and 2")
    information = _decode(message)
    transaction_uid = _uid(information, "TransactionUID")
    failed = {}
    if message.type_id == SOME_FAILED_EVENT:
        for referenced, item in _references(information, "FailedSOPSequence"):
            failed[referenced.sop_instance_uid] = FailedReference(referenced, _failure_reason(item))
    committed = {
        referenced.sop_instance_uid: referenced
        for referenced, _ in _references(information, "ReferencedSOPSequence")
    }
    # An object that is named in both sequences is not committed.
    return CommitmentResult(
        transaction_uid,
        tuple(referenced for name, referenced in committed.items() if name not in failed),
        tuple(failed.values()),
    )


def _check_target(message: NormalizedRequest) -> None:
    if message.sop_class_uid != STORAGE_COMMITMENT:
        raise CommitmentError(CommitmentStatus.NO_SUCH_SOP_CLASS, "Only of the Storage Commitment Push Model")
    if message.sop_instance_uid != STORAGE_COMMITMENT_INSTANCE:
        raise CommitmentError(CommitmentStatus.NO_SUCH_INSTANCE, "Not the well-known SOP Instance")


def _decode(message: NormalizedRequest) -> Dataset:
    try:
        return message.decode()
    except DataSetTooLong as error:
        raise CommitmentError(CommitmentStatus.RESOURCE_LIMITATION, "The data set is too long") from error
    except Exception as error:  # pydicom raises whatever the bytes bring about
        raise CommitmentError(
            CommitmentStatus.INVALID_ARGUMENT_VALUE, "The data set cannot be parsed"
        ) from error


def _references(information: Dataset, keyword: str) -> list[tuple[ReferencedSop, Dataset]]:
    """The objects that a sequence refers to, each with its item; none where the sequence is missing."""
    try:
        sequence = information.get(keyword)
    except Exception as error:  # the items are parsed only now
        raise CommitmentError(
            CommitmentStatus.INVALID_ARGUMENT_VALUE, f"{keyword} cannot be parsed"
        ) from error
    if sequence is None:
        return []
    if not isinstance(sequence, Sequence):
        raise CommitmentError(CommitmentStatus.INVALID_ARGUMENT_VALUE, f"{keyword} is not a sequence")
    if len(sequence) > MAX_REFERENCES:
        raise CommitmentError(
            CommitmentStatus.RESOURCE_LIMITATION, f"More than {MAX_REFERENCES} references in one request"
        )
    return [
        (ReferencedSop(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")), item)
        for item in sequence
    ]


def _uid(item: Dataset, keyword: str) -> str:
    """A UID as it was sent: pydicom's own conversion would warn about a bad one, and quote it."""
    value = text(getattr(item.get_item(keyword), "value", None)) if keyword in item else ""
    if not is_uid(value):
        raise CommitmentError(CommitmentStatus.INVALID_ARGUMENT_VALUE, f"{keyword} is missing or not a UID")
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
