"""Storage Commitment Push Model (DICOM PS3.4 Annex J): its UIDs, statuses, and data sets read and written."""

from __future__ import annotations

from io import BytesIO

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import build_context
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import decode
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

STORAGE_COMMITMENT_INSTANCE = uid.UID("1.2.840.10008.1.20.1.1")
"""The well-known SOP Instance to which every request and report refers."""
REQUEST_ACTION = 1
ALL_COMMITTED_EVENT, SOME_FAILED_EVENT = 1, 2
MAX_REFERENCES = 2000
"""Objects that one request or report may name."""


class CommitmentStatus(StatusCode):
    """What the node answers an N-ACTION or an N-EVENT-REPORT with (DICOM PS3.7 Annex C)."""

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
    """A storage commitment request or report that is answered with a failure."""


def commitment_context() -> PresentationContext:
    """The presentation context that is proposed and accepted."""
    context = build_context(STORAGE_COMMITMENT, list(UNCOMPRESSED))
    # Whoever answers a request calls as SCP, on an association of its own; so both roles are taken.
    context.scu_role = context.scp_role = True
    return context


def to_action_information(request: CommitmentRequest) -> Dataset:
    """The data set of an N-ACTION."""
    information = Dataset()
    information.TransactionUID = request.transaction_uid
    information.ReferencedSOPSequence = [_item(referenced) for referenced in request.references]
    return information


def to_event_information(result: CommitmentResult) -> tuple[int, Dataset]:
    """The event type and the data set of an N-EVENT-REPORT."""
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


def read_request(request: N_ACTION, transfer_syntax: uid.UID, calling_ae_title: str) -> CommitmentRequest:
    """What a peer asks for.

    Raises:
        CommitmentError: It is no request that can be answered.
    """
    _check_target(request.RequestedSOPClassUID, request.RequestedSOPInstanceUID)
    if request.ActionTypeID != REQUEST_ACTION:
        raise CommitmentError(CommitmentStatus.NO_SUCH_ACTION, "The only action is 1, request commitment")
    information = _decode(request.ActionInformation, transfer_syntax)
    transaction_uid = _uid(information, "TransactionUID")
    references = _references(information, "ReferencedSOPSequence")
    if not references:
        raise CommitmentError(CommitmentStatus.INVALID_ARGUMENT_VALUE, "ReferencedSOPSequence is missing")
    return CommitmentRequest(
        calling_ae_title, transaction_uid, tuple(referenced for referenced, _ in references)
    )


def read_report(report: N_EVENT_REPORT, transfer_syntax: uid.UID) -> CommitmentResult:
    """The result that a peer reports.

    Raises:
        CommitmentError: It is no result that can be understood.
    """
    _check_target(report.AffectedSOPClassUID, report.AffectedSOPInstanceUID)
    if report.EventTypeID not in (ALL_COMMITTED_EVENT, SOME_FAILED_EVENT):
        raise CommitmentError(CommitmentStatus.NO_SUCH_EVENT_TYPE, "The event types are 1 and 2")
    information = _decode(report.EventInformation, transfer_syntax)
    transaction_uid = _uid(information, "TransactionUID")
    failed = {}
    if report.EventTypeID == SOME_FAILED_EVENT:
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


def _check_target(sop_class: uid.UID | None, instance: uid.UID | None) -> None:
    if sop_class != STORAGE_COMMITMENT:
        raise CommitmentError(CommitmentStatus.NO_SUCH_SOP_CLASS, "Only of the Storage Commitment Push Model")
    if instance != STORAGE_COMMITMENT_INSTANCE:
        raise CommitmentError(CommitmentStatus.NO_SUCH_INSTANCE, "Not the well-known SOP Instance")


def _decode(data: BytesIO | None, transfer_syntax: uid.UID) -> Dataset:
    if getattr(data, "too_long", False):
        raise CommitmentError(CommitmentStatus.RESOURCE_LIMITATION, "The data set is too long")
    try:
        return decode(data or BytesIO(), transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
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
