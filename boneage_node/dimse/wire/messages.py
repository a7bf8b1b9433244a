"""A peer's messages put together within bounds, and the responses to those that the node sends on its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, cast

from pydicom.tag import Tag
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_EVENT_REPORT
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu_primitives import P_DATA

from boneage_node.dimse.contexts import STORAGE_COMMITMENT, VERIFICATION
from boneage_node.dimse.status import MAX_COMMENT_CHARACTERS, RequestError, Status
from boneage_node.errors import BoneAgeError

from .bounds import BoundedBytes, IncomingFile, Limits, out_of_resources
from .transport import BoundedSocket

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import NTF, DimsePrimitiveType, DimseServiceType
    from pynetdicom.presentation import PresentationContextTuple

MAX_COMMAND_BYTES = 16 * 2**10
"""A C-STORE command set is some 300 bytes."""
MAX_WAITING_REQUESTS = 8
"""Nobody may invoke more than one operation at a time without having negotiated it; some do, a little."""
MAX_UNANSWERED_REPORTS = 8
"""Reports on an association that the peer has not responded to; those beyond it are not sent."""
_C_STORE_RQ, _C_ECHO_RQ = 0x0001, 0x0030
_N_EVENT_REPORT_RQ, _N_ACTION_RQ, _N_EVENT_REPORT_RSP = 0x0100, 0x0130, 0x8100
_NO_DATA_SET = 0x0101
_MESSAGES = {(_C_STORE_RQ, True), (_C_ECHO_RQ, False)}
"""Command field, and whether a data set follows."""
_COMMITMENT_COMMANDS = (_N_ACTION_RQ, _N_EVENT_REPORT_RQ, _N_EVENT_REPORT_RSP)
_OF_REQUESTS = frozenset(
    map(
        Tag,
        (
            "CommandField",
            "CommandDataSetType",
            "MessageID",
            "AffectedSOPClassUID",
            "AffectedSOPInstanceUID",
            "RequestedSOPClassUID",
            "RequestedSOPInstanceUID",
            "ActionTypeID",
            "EventTypeID",
        ),
    )
)
_OF_RESPONSES = frozenset(
    map(
        Tag,
        (
            "CommandField",
            "CommandDataSetType",
            "MessageIDBeingRespondedTo",
            "Status",
            "NumberOfRemainingSuboperations",
            "NumberOfCompletedSuboperations",
            "NumberOfFailedSuboperations",
            "NumberOfWarningSuboperations",
        ),
    )
)
"""All that the node uses of a command set. Of the rest (priority, comments, originators of a C-MOVE, repeated
UIDs) a value that is not as it should be would make pynetdicom refuse the whole message."""
_SAID_OF_A_STATUS = ("OffendingElement", "ErrorComment")
"""What a response says beside its status: kept where it can be read, for people."""
_IS_RESPONSE = 0x8000


class ProtocolError(BoneAgeError):
    """A peer does what no DICOM implementation does; the association is aborted."""


class BoundedMessages(DIMSEServiceProvider):
    """Puts a peer's messages together within bounds.

    Only C-ECHO and C-STORE requests are taken, and on the contexts of storage commitment N-ACTION and
    N-EVENT-REPORT. A data set for which there is no room is swallowed, and its request answered by the
    handler. Anything that no honest peer does aborts the association.

    Args:
        association: The association whose messages these are.
        limits: Largest data set, and free space to leave on the file system.

    Attributes:
        afterwards: What a handler wants done once its response has been sent.
        working_since: Since when the node works at a request, by the monotonic clock; None while it waits.
    """

    def __init__(self, association: Association, limits: Limits) -> None:
        super().__init__(association)
        self._limits = limits
        self.afterwards: Callable[[], None] | None = None
        self.working_since: float | None = None
        self._served: DimseServiceType | None = None
        self._reports: dict[int, Callable[[int | None], None]] = {}
        self._report_count = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in a P-DATA indication, one presentation data value (PDV) at a time."""
        for context_id, value in primitive.presentation_data_value_list:
            try:
                self._check(context_id, value)
                self._receive_value(context_id, value)
            except (
                Exception
            ) as error:  # whatever it is, the thread must live to abort and close the connection
                reason = str(error) if isinstance(error, ProtocolError) else type(error).__name__
                end(self.assoc, f"invalid message: {reason}")
                return

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message, and then do what its handler wants done afterwards."""
        super().send_msg(primitive, context_id)
        afterwards, self.afterwards = self.afterwards, None
        if afterwards is not None:
            afterwards()

    def send_report(
        self,
        target: tuple[UID, UID],
        event_type: int,
        information: Dataset,
        context: PresentationContextTuple,
        answered: Callable[[int | None], None],
    ) -> None:
        """Send an N-EVENT-REPORT request without waiting for the response.

        Args:
            target: Affected SOP Class UID and Affected SOP Instance UID.
            event_type: Event Type ID.
            information: Event Information.
            context: The presentation context.
            answered: Called with the status of the response, should one come.
        """
        if len(self._reports) >= MAX_UNANSWERED_REPORTS:
            return
        syntax = context.transfer_syntax
        encoded = encode(information, syntax.is_implicit_VR, syntax.is_little_endian)
        assert encoded is not None, "UIDs and numbers alone"
        self._report_count += 1
        report = N_EVENT_REPORT()
        report.MessageID = self._report_count % 2**16
        report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = target
        report.EventTypeID = event_type
        report.EventInformation = BytesIO(encoded)
        self._reports[report.MessageID] = answered
        self.send_msg(report, context.context_id)

    def get_msg(self, block: bool = False) -> tuple[None, None] | tuple[int, DimseServiceType]:
        """The next request; responses to reports go to whoever sent them."""
        self.working_since = None  # whatever it was, it is done
        _delete_file(self._served)
        item = super().get_msg(block)
        _, message = item
        self._served = message
        if not isinstance(message, N_EVENT_REPORT) or message.MessageIDBeingRespondedTo is None:
            if message is not None:
                self.working_since = time.monotonic()
            return item
        answered = self._reports.pop(message.MessageIDBeingRespondedTo, None)
        if answered is not None:
            answered(message.Status)
        return None, None

    def discard(self) -> None:
        """Delete the files of messages that nobody will answer: the one on its way, and those in line."""
        message, self.message = self.message, None
        if message is not None and isinstance(message._data_set_file, IncomingFile):
            message._data_set_file.delete()
        _delete_file(self._served)
        while not self.msg_queue.empty():
            _, request = self.msg_queue.get_nowait()
            _delete_file(request)

    def _check(self, context_id: int, value: bytes) -> None:
        if not value:
            raise ProtocolError("empty PDV")
        if context_id not in self.assoc._accepted_cx:
            raise ProtocolError("PDV on a presentation context that was not accepted")
        is_command, is_last = value[0] & 1, value[0] & 2
        in_data_set = self.message is not None and self.message.context_id is not None
        if not is_command:
            if not in_data_set:
                raise ProtocolError("data set that belongs to no request")
            return
        if in_data_set:
            raise ProtocolError("command set in the middle of a data set")
        command = (self.message.encoded_command_set.getvalue() if self.message is not None else b"") + value[
            1:
        ]
        if len(command) > MAX_COMMAND_BYTES:
            raise ProtocolError("command set too long")
        if is_last:
            self._check_command(context_id, command)

    def _check_command(self, context_id: int, command: bytes) -> None:
        if self.msg_queue.qsize() >= MAX_WAITING_REQUESTS:
            raise ProtocolError("too many requests without waiting for the answers")
        command_field, has_data_set = _read_command(command)
        abstract_syntax = self.assoc._accepted_cx[context_id].abstract_syntax
        if abstract_syntax == STORAGE_COMMITMENT:
            allowed = command_field in _COMMITMENT_COMMANDS
        else:
            allowed = (command_field, has_data_set) in _MESSAGES
        if not allowed:
            raise ProtocolError(f"no message for this context (command field 0x{command_field:04X})")

    def _receive_value(self, context_id: int, value: bytes) -> None:
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        refusal = None
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = BoundedBytes()
        message, complete = self.message, False
        try:
            complete = message.decode_msg(single, self.assoc)
        except Exception as error:
            if not isinstance(message, C_STORE_RQ):
                raise
            refusal = (
                out_of_resources(error)
                if isinstance(error, OSError)
                else RequestError(Status.CANNOT_UNDERSTAND, "The request cannot be understood")
            )
        if isinstance(message, C_STORE_RQ) and not isinstance(message._data_set_file, IncomingFile):
            incoming = IncomingFile(message._data_set_file, self._limits, refusal)
            message._data_set_file = cast("NTF", incoming)
        if complete:
            self._put_in_line(context_id, message)
            self.message = None

    def _put_in_line(self, context_id: int, message: DIMSEMessage) -> None:
        """Put a whole message in line; all in one line, while pynetdicom gives each report its own thread."""
        received = cast("DimseServiceType", to_primitive(message))
        abstract_syntax = self.assoc._accepted_cx[context_id].abstract_syntax
        # pynetdicom takes the service by the class of the request, which may be any, and aborts without one.
        if isinstance(received, C_ECHO):
            received.AffectedSOPClassUID = VERIFICATION
        elif isinstance(received, C_STORE) and received.AffectedSOPClassUID != abstract_syntax:
            IncomingFile.of(received).refuse(
                RequestError(Status.SOP_CLASS_NOT_SUPPORTED, "The SOP class is not that of the context")
            )
            received.AffectedSOPClassUID = abstract_syntax
        if not (received.is_valid_request or received.is_valid_response):
            raise ProtocolError("a request or response without all that belongs to it")
        self.msg_queue.put((context_id, received))


def _delete_file(request: DimseServiceType | None) -> None:
    """Delete the file of a request where it is still there: not moved by the handler, nor seen by any."""
    file = request._dataset_file if request is not None else None
    if isinstance(file, IncomingFile):
        file.delete()


def is_response_or_report(command: bytes) -> bool:
    """Whether a command set is of a message that a peer may send on an association of the node."""
    command_field, _ = _read_command(command)
    return bool(command_field & _IS_RESPONSE) or command_field == _N_EVENT_REPORT_RQ


def to_primitive(message: DIMSEMessage) -> DimsePrimitiveType:
    """What a whole message says, without what the node does not use of it.

    Raises:
        Exception: Whatever the rest brings about.
    """
    command = message.command_set
    said = {keyword: _value(command, keyword) for keyword in _SAID_OF_A_STATUS}
    used = _OF_RESPONSES if int(command.CommandField) & _IS_RESPONSE else _OF_REQUESTS
    for tag in [tag for tag in command.keys() if tag not in used]:  # noqa: SIM118 - a data set is no mapping
        del command[tag]
    primitive = message.message_to_primitive()
    for keyword, value in said.items():
        if value is not None and hasattr(primitive, keyword):
            setattr(primitive, keyword, value)
    return primitive


def _value(command: Dataset, keyword: str) -> object:
    """The value of an element, a comment no longer than it may be; None where it has no meaning."""
    try:
        value = command.get(keyword)
        return str(value)[:MAX_COMMENT_CHARACTERS] if value and keyword == "ErrorComment" else value
    except Exception:  # whatever the bytes bring about: the status beside it counts
        return None


def end(association: Association, why: str) -> None:
    """Abort an association because of what has come; from the thread of its connection."""
    if isinstance(association.dul.socket, BoundedSocket):
        association.dul.socket.note_end(why)
    association.dul.event_queue.put("Evt19")  # invalid PDU: answered with A-ABORT, then closed


def decode_data_set(data: BytesIO, transfer_syntax: UID) -> Dataset:
    """Decode a data set as it was sent; pydicom raises whatever the bytes bring about."""
    return decode(data, transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)


def _read_command(command: bytes) -> tuple[int, bool]:
    """CommandField of an encoded command set, and whether a data set follows it."""
    elements = decode(BytesIO(command), True, True)
    return int(elements.CommandField), int(elements.CommandDataSetType) != _NO_DATA_SET
