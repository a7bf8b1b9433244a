"""Storage commitment on associations that peers open: their requests, and their results of the node's own."""

from __future__ import annotations

import errno
from functools import partial
from typing import Protocol

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from boneage_node.logs import class_name, get_logger
from boneage_node.traffic.commitment import CommitmentRequest, CommitmentResult, TooManyRequests

from .commitment import (
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentError,
    CommitmentStatus,
    read_request,
    read_result,
    to_event_information,
)
from .contexts import STORAGE_COMMITMENT
from .wire.requests import NormalizedRequest
from .wire.server import OpenAssociations

_log = get_logger()


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


def handle_action(
    event: Event, handler: CommitmentHandler, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Answer an N-ACTION request: with success once it is kept."""
    association = open_associations[event.assoc]
    try:
        message = NormalizedRequest.of(event.request, event.context.transfer_syntax)
        request = handler.accept_request(read_request(message, event.assoc.requestor.ae_title.strip()))
        result = handler.result_here(request)
    except Exception as error:
        return _refuse(error, "commitment request refused", association.number), None
    _log.info(
        "commitment requested",
        association=association.number,
        request=request.id,
        references=len(request.references),
    )
    if result is not None:
        event_type, information = to_event_information(result)
        association.messages.afterwards = partial(
            association.messages.send_report,
            (STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE),
            event_type,
            information,
            event.context,
            partial(_note_result_sent, handler, request, result),
        )
    return int(CommitmentStatus.SUCCESS), None


def handle_report(
    event: Event, handler: CommitmentHandler, open_associations: OpenAssociations
) -> tuple[int | Dataset, None]:
    """Answer an N-EVENT-REPORT request: with success once its result is kept."""
    association = open_associations[event.assoc]
    try:
        message = NormalizedRequest.of(event.request, event.context.transfer_syntax)
        if not handler.accept_result(read_result(message)):
            raise CommitmentError(
                CommitmentStatus.INVALID_ARGUMENT_VALUE, "The node made no request with this Transaction UID"
            )
    except Exception as error:
        return _refuse(error, "commitment result refused", association.number), None
    return int(CommitmentStatus.SUCCESS), None


def _note_result_sent(
    handler: CommitmentHandler, request: CommitmentRequest, result: CommitmentResult, status: int | None
) -> None:
    if status != CommitmentStatus.SUCCESS:
        return
    try:
        handler.result_sent(request, result)
    except Exception as error:  # any database error: the result is sent again
        _log.warning("commitment result not noted", request=request.id, error=class_name(error))


def _refuse(error: Exception, event: str, association: int) -> Dataset:
    """Log why a request or result is refused, and make the response; the association goes on."""
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
