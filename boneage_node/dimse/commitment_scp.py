"""Storage commitment on associations that peers open: their requests, and their reports on the node's own."""

from __future__ import annotations

import errno
from functools import partial
from io import BytesIO
from typing import Protocol, cast

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.events import Event

from boneage_node.traffic.commitment import CommitmentRequest, CommitmentResult, TooManyRequests

from .commitment import (
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentError,
    CommitmentStatus,
    read_report,
    read_request,
    to_event_information,
)
from .contexts import STORAGE_COMMITMENT
from .wire.messages import BoundedMessages
from .wire.server import OpenAssociations

_log = structlog.get_logger(__name__)


class CommitmentDesk(Protocol):
    """Keeps requests and answers."""

    def requested(self, request: CommitmentRequest) -> CommitmentRequest:
        """Keep a request; when this returns, it survives a power cut."""

    def answer_here(self, request: CommitmentRequest) -> CommitmentResult | None:
        """The answer, where it has to go over the association of the request; None where it need not."""

    def answered(self, request: CommitmentRequest, answer: CommitmentResult) -> None:
        """The peer has its answer."""

    def reported(self, report: CommitmentResult) -> bool:
        """Keep a peer's answer to a request of the node's own; False where there is no such request."""


def handle_action(
    event: Event, desk: CommitmentDesk, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Answer an N-ACTION request: with success once it is kept."""
    association = open_associations[event.assoc]
    try:
        request = desk.requested(
            read_request(
                cast(N_ACTION, event.request),
                event.context.transfer_syntax,
                event.assoc.requestor.ae_title.strip(),
            )
        )
        answer = desk.answer_here(request)
    except Exception as error:
        return _refuse(error, "commitment_request_refused", association.number), None
    _log.info(
        "commitment_requested",
        association=association.number,
        request=request.id,
        references=len(request.references),
    )
    if answer is not None:
        context_id = event.context.context_id
        association.messages.afterwards = partial(
            _report, association.messages, context_id, event.context.transfer_syntax, desk, request, answer
        )
    return int(CommitmentStatus.SUCCESS), None


def handle_report(
    event: Event, desk: CommitmentDesk, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Answer an N-EVENT-REPORT request: with success once it is kept."""
    association = open_associations[event.assoc]
    try:
        report = read_report(cast(N_EVENT_REPORT, event.request), event.context.transfer_syntax)
        if not desk.reported(report):
            raise CommitmentError(
                CommitmentStatus.INVALID_ARGUMENT_VALUE, "The node made no request with this Transaction UID"
            )
    except Exception as error:
        return _refuse(error, "commitment_report_refused", association.number), None
    return int(CommitmentStatus.SUCCESS), None


def _report(
    messages: BoundedMessages,
    context_id: int,
    transfer_syntax: UID,
    desk: CommitmentDesk,
    request: CommitmentRequest,
    answer: CommitmentResult,
) -> None:
    """Send a report on the association of its request, and note when the peer has taken it."""
    event_type, information = to_event_information(answer)
    encoded = encode(information, transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    assert encoded is not None, "UIDs and numbers alone"
    report = N_EVENT_REPORT()
    report.AffectedSOPClassUID = STORAGE_COMMITMENT
    report.AffectedSOPInstanceUID = STORAGE_COMMITMENT_INSTANCE
    report.EventTypeID = event_type
    report.EventInformation = BytesIO(encoded)

    def taken(status: int | None) -> None:
        if status != CommitmentStatus.SUCCESS:
            return
        try:
            desk.answered(request, answer)
        except Exception as error:  # any database error: it is reported again
            _log.warning("commitment_answer_not_noted", request=request.id, error=type(error).__name__)

    messages.send_report(report, context_id, taken)


def _refuse(error: Exception, event: str, association: int) -> Dataset:
    """Log why a request or report is refused, and say it to the peer; whatever it is, both go on."""
    refusal = error if isinstance(error, CommitmentError) else _refusal(error)
    _log.warning(
        event,
        association=association,
        status=f"0x{refusal.status:04X}",
        comment=refusal.comment,
        cause=None if refusal is error else type(error).__name__,
    )
    return refusal.to_dataset()


def _refusal(error: Exception) -> CommitmentError:
    if isinstance(error, TooManyRequests):
        return CommitmentError(CommitmentStatus.RESOURCE_LIMITATION, "Too many requests are waiting")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CommitmentError(CommitmentStatus.RESOURCE_LIMITATION, "The disk is full")
    return CommitmentError(CommitmentStatus.PROCESSING_FAILURE, "The node cannot do it at the moment")
