"""Storage commitment on associations that the node opens: its requests, and results for peers."""

from __future__ import annotations

import time
from collections.abc import Callable

from pynetdicom import build_role

from boneage_node.errors import BoneAgeError
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.commitment import CommitmentRequest, CommitmentResult
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.store_status import is_permanent

from .commitment import (
    REQUEST_ACTION,
    STORAGE_COMMITMENT_INSTANCE,
    CommitmentError,
    CommitmentStatus,
    commitment_context,
    read_result,
    to_action_information,
    to_event_information,
)
from .contexts import STORAGE_COMMITMENT
from .wire.association import DEFAULT_TIMEOUT_SECONDS, open_association
from .wire.reports import ReportMessages
from .wire.requests import NormalizedRequest

REQUEST_BATCH = 200
"""How many objects one request refers to, at most."""
LINGER_SECONDS = 5.0
"""How long an association stays open for the result; a later one comes on an association of its own."""

AcceptResult = Callable[[CommitmentResult], bool]
"""Keeps a result for good; False where the node made no such request."""


class NotSupported(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The peer does not take the SOP class; the text says so."""


class NotTaken(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The peer was reached and answered with a failure.

    Args:
        sentence: What it answered.
        permanent: The same again will be answered in the same way.
    """

    def __init__(self, sentence: str, *, permanent: bool) -> None:
        self.permanent = permanent
        super().__init__(sentence)


def send_request(
    station: Station,
    request: CommitmentRequest,
    caller: Caller,
    accept_result: AcceptResult,
    is_done: Callable[[], bool],
    *,
    linger_seconds: float = LINGER_SECONDS,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Request storage commitment of a PACS, and take the result should it come on the same association.

    Args:
        station: The PACS.
        request: The request.
        caller: How the node calls.
        accept_result: Keeps a result.
        is_done: Whether the result need not be waited for any more.
        linger_seconds: How long to wait for the result here.
        timeout_seconds: How long to wait for the connection, and for each response.

    Raises:
        Unreachable: It is not there, or does not respond.
        NotSupported: It does not take such requests.
        NotTaken: It does not take this one.
    """

    def answer(message: NormalizedRequest) -> int:
        try:
            known = accept_result(read_result(message))
        except CommitmentError as error:
            return error.status
        return CommitmentStatus.SUCCESS if known else CommitmentStatus.INVALID_ARGUMENT_VALUE

    with open_association(station, caller, [commitment_context()], timeout_seconds) as association:
        if not association.accepted_contexts:
            raise NotSupported(f"{station} takes no storage commitment requests.")
        reports = ReportMessages(association, answer)
        status, _ = association.send_n_action(
            to_action_information(request), REQUEST_ACTION, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )
        if "Status" not in status:  # so does one that would not know where to report
            raise Unreachable(
                f"{station} did not respond to the request for storage commitment: "
                "enter this node's AE title, address and port there, and see its log."
            )
        _require_success(status.Status, station, "the request for storage commitment")
        deadline = time.monotonic() + linger_seconds
        while association.is_established and time.monotonic() < deadline and not is_done():
            reports.serve()


def send_result(
    station: Station,
    result: CommitmentResult,
    caller: Caller,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Send a peer the result of its request, on an association that the node opens.

    Raises:
        Unreachable: It is not there, does not respond, or does not let the node report.
        NotTaken: It does not take the result.
    """
    role = build_role(STORAGE_COMMITMENT, scp_role=True)
    with open_association(station, caller, [commitment_context()], timeout_seconds, [role]) as association:
        if not association.accepted_contexts:
            raise Unreachable(f"{station} takes no storage commitment reports: allow them there.")
        event_type, information = to_event_information(result)
        status, _ = association.send_n_event_report(
            information, event_type, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )
        if "Status" not in status:
            raise Unreachable(f"{station} ended the association, or did not respond in time.")
        _require_success(status.Status, station, "the storage commitment report")


def _require_success(status: int, station: Station, what: str) -> None:
    if status != CommitmentStatus.SUCCESS and not 0xB000 <= status <= 0xBFFF:
        raise NotTaken(
            f"{station} does not take {what} (status 0x{status:04X}); see its log.",
            permanent=is_permanent(status),
        )
