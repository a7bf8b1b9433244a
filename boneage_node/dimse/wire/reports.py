"""N-EVENT-REPORT requests that come on an association of the node's own, while it waits for a response."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from .association import DEFAULT_TIMEOUT_SECONDS
from .bounds import BoundedBytes
from .requests import NormalizedRequest

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimseServiceType

_POLL_SECONDS = 0.1
_NO_SUCH_CONTEXT = 0x0115
"""Invalid argument value."""


class ReportMessages(DIMSEServiceProvider):
    """Keeps reports of the peer apart from its responses, and answers them while somebody waits.

    pynetdicom gives each report a thread of its own, in which it disturbs the one that releases the
    association.

    Args:
        association: The association; its messages are these from then on.
        answer: Gives the status that a report is answered with.
    """

    def __init__(self, association: Association, answer: Callable[[NormalizedRequest], int]) -> None:
        super().__init__(association)
        self._answer = answer
        self._reports: queue.SimpleQueue[tuple[int, N_EVENT_REPORT]] = queue.SimpleQueue()
        association.dimse = self

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
            self.serve()
        return super().get_msg()

    def serve(self) -> None:
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
        response.Status = self._status(context_id, report)
        self.send_msg(response, context_id)

    def _status(self, context_id: int, report: N_EVENT_REPORT) -> int:
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            return _NO_SUCH_CONTEXT
        return self._answer(NormalizedRequest.of(report, context.transfer_syntax[0]))
