"""Storage commitment on associations that the node opens: asking a PACS, reporting to a peer that asked."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pynetdicom import build_role
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

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
    read_report,
    to_action_information,
    to_event_information,
)
from .contexts import STORAGE_COMMITMENT
from .wire.association import DEFAULT_TIMEOUT_SECONDS, open_association
from .wire.bounds import BoundedBytes

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimseServiceType

REQUEST_BATCH = 200
"""For how many objects one request asks, at most."""
LINGER_SECONDS = 5.0
"""How long an association stays open for the answer; a later one comes on an association of its own."""
_POLL_SECONDS = 0.1

TakeReport = Callable[[CommitmentResult], bool]
"""Keeps an answer for good; False where the node made no such request."""


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


def request_commitment(
    destination: Station,
    request: CommitmentRequest,
    caller: Caller,
    take: TakeReport,
    is_answered: Callable[[], bool],
    *,
    linger_seconds: float = LINGER_SECONDS,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Ask a PACS to vouch for objects, and take its answer should it come on the same association.

    Args:
        destination: Whom to ask.
        request: For what.
        caller: How the node calls.
        take: Keeps an answer.
        is_answered: Whether all is answered, here or elsewhere.
        linger_seconds: How long to wait for the answer here.
        timeout_seconds: How long to wait for the connection, and for each response.

    Raises:
        Unreachable: It is not there, or does not respond.
        NotSupported: It does not take such requests.
        NotTaken: It does not take this one.
    """
    context = commitment_context()
    with open_association(destination, caller, [context], timeout_seconds) as association:
        if not association.accepted_contexts:
            raise NotSupported(f"{destination} takes no storage commitment requests.")
        messages = association.dimse = _Messages(association, take)
        information = to_action_information(request)
        status, _ = association.send_n_action(
            information, REQUEST_ACTION, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )
        if "Status" not in status:  # so does one that would not know where to report
            raise Unreachable(
                f"{destination} did not respond to the request for storage commitment: "
                "enter this node's AE title, address and port there, and see its log."
            )
        _require_success(status.Status, destination, "the request for storage commitment")
        deadline = time.monotonic() + linger_seconds
        while association.is_established and time.monotonic() < deadline and not is_answered():
            messages.serve_report()


def report_commitment(
    destination: Station,
    answer: CommitmentResult,
    caller: Caller,
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Report to a peer, on an association to it, what it asked for.

    Raises:
        Unreachable: It is not there, does not respond, or does not let the node report.
        NotTaken: It does not take the report.
    """
    role = build_role(STORAGE_COMMITMENT, scp_role=True)
    with open_association(
        destination, caller, [commitment_context()], timeout_seconds, [role]
    ) as association:
        if not association.accepted_contexts:
            raise Unreachable(f"{destination} takes no storage commitment reports: allow them there.")
        event_type, information = to_event_information(answer)
        status, _ = association.send_n_event_report(
            information, event_type, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
        )
        if "Status" not in status:
            raise Unreachable(f"{destination} ended the association, or did not respond in time.")
        _require_success(status.Status, destination, "the storage commitment report")


def _require_success(status: int, destination: Station, what: str) -> None:
    if status != CommitmentStatus.SUCCESS and not 0xB000 <= status <= 0xBFFF:
        raise NotTaken(
            f"{destination} does not take {what} (status 0x{status:04X}); see its log.",
            permanent=is_permanent(status),
        )


class _Messages(DIMSEServiceProvider):
    """Keeps reports of the peer apart from its responses, and answers them while somebody waits.

    pynetdicom gives each report a thread of its own, in which it disturbs the one that releases the
    association.

    Args:
        association: The association.
        take: Keeps a report.
    """

    def __init__(self, association: Association, take: TakeReport) -> None:
        super().__init__(association)
        self._take = take
        self._reports: queue.SimpleQueue[tuple[int, N_EVENT_REPORT]] = queue.SimpleQueue()

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in a P-DATA indication."""
        try:
            if self.message is None:
                self.message = DIMSEMessage()
                self.message.data_set = BoundedBytes()
            if not self.message.decode_msg(primitive, self.assoc):
                return
            message, self.message = self.message, None
            received = message.message_to_primitive()
        except Exception:  # whatever the bytes bring about, the thread must live to abort the association
            self.dul.event_queue.put("Evt19")
            return
        assert message.context_id is not None, "decoded"
        if isinstance(received, N_EVENT_REPORT) and received.is_valid_request:
            self._reports.put((message.context_id, received))
        elif not isinstance(received, C_CANCEL):
            self.msg_queue.put((message.context_id, received))

    def get_msg(self, block: bool = False) -> tuple[None, None] | tuple[int, DimseServiceType]:
        """The next response. A peer may report before it responds, and wait with its response meanwhile."""
        if not block:
            return super().get_msg()
        deadline = time.monotonic() + (self.dimse_timeout or DEFAULT_TIMEOUT_SECONDS)
        while self.msg_queue.empty() and time.monotonic() < deadline:
            self.serve_report()
        return super().get_msg()

    def serve_report(self) -> None:
        """Wait a moment for a report, and answer it."""
        try:
            context_id, report = self._reports.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        response = N_EVENT_REPORT()
        response.MessageIDBeingRespondedTo = report.MessageID
        response.AffectedSOPClassUID = report.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = report.AffectedSOPInstanceUID
        response.EventTypeID = report.EventTypeID
        response.Status = int(self._status_of(context_id, report))
        self.send_msg(response, context_id)

    def _status_of(self, context_id: int, report: N_EVENT_REPORT) -> CommitmentStatus:
        try:
            syntax = self.assoc._accepted_cx[context_id].transfer_syntax[0]
            known = self._take(read_report(report, syntax))
        except CommitmentError as error:
            return error.status
        except KeyError:  # on a context that is none
            return CommitmentStatus.INVALID_ARGUMENT_VALUE
        return CommitmentStatus.SUCCESS if known else CommitmentStatus.INVALID_ARGUMENT_VALUE
