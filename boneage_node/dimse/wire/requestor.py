"""Messages on associations that the node opens: responses, files sent as they are, reports of the peer.

pynetdicom takes whatever comes for the response to the last request, and ends the thread of the connection,
but not the connection, on a message that it cannot read.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from .bounds import BoundedBytes
from .messages import MAX_COMMAND_BYTES, ProtocolError, end, is_response_or_report, to_primitive
from .transport import BoundedSocket

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimsePrimitiveType, DimseServiceType

_POLL_SECONDS = 0.1
_INVALID_ARGUMENT_VALUE = 0x0115
_FILE_META_GROUP = 0x0002


def read_file_meta(file: BinaryIO) -> Dataset:
    """Read the file meta information of a DICOM file; the file then stands at its data set.

    Raises:
        InvalidDicomError: It is no DICOM file.
    """
    read_preamble(file, force=False)
    return read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag.group != _FILE_META_GROUP)


def send_as_stored(association: Association, file: BinaryIO, message_id: int) -> Dataset:
    """Send a DICOM file by C-STORE without decoding its data set, as pynetdicom would.

    The data set is held in memory meanwhile: a report is small, a radiograph some ten megabytes.

    Args:
        association: An association with a presentation context of the file's SOP class and transfer syntax.
        file: The file, open at its beginning.
        message_id: The Message ID.

    Returns:
        The peer's response; empty where none came.
    """
    meta = read_file_meta(file)
    stand_in = Dataset()
    stand_in.SOPClassUID = meta.MediaStorageSOPClassUID
    stand_in.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    stand_in.file_meta = FileMetaDataset()
    stand_in.file_meta.TransferSyntaxUID = meta.TransferSyntaxUID
    messages = association.dimse
    association.dimse = _EncodedDataSet(association, BytesIO(file.read()))
    try:
        return association.send_c_store(stand_in, msg_id=message_id)
    finally:
        association.dimse = messages  # the next file may have to be encoded anew


class Responses(DIMSEServiceProvider):
    """Takes the responses to the request that was sent last, and nothing else, whatever the peer sends.

    A response to another request says nothing about this one, and a late one must not count for the next.
    """

    _awaited: int | None = None

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message; of a request, the responses are awaited from then on."""
        if primitive.MessageIDBeingRespondedTo is None:
            self._awaited = None
            while not self.msg_queue.empty():  # a second response to the request before
                self.msg_queue.get_nowait()
            self._awaited = getattr(primitive, "MessageID", None)
        super().send_msg(primitive, context_id)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in a P-DATA indication, one presentation data value (PDV) at a time."""
        try:
            for context_id, value in primitive.presentation_data_value_list:
                self._receive_value(context_id, value)
        except Exception as error:  # whatever the bytes bring about, the thread must live to abort
            reason = str(error) if isinstance(error, ProtocolError) else type(error).__name__
            end(self.assoc, f"invalid message: {reason}")

    def get_msg(self, block: bool = False) -> tuple[None, None] | tuple[int, DimseServiceType]:
        """The next response, for whoever waits for one; None where none comes in time, or can come any more.

        pynetdicom's own thread does not wait: it looks for requests, and gets none.
        """
        deadline = time.monotonic() + (self.dimse_timeout or 0)
        while block and time.monotonic() < deadline:
            item = self.next_response()
            if item is not None:
                return item
            if not self.dul.is_alive():
                break
        if block and isinstance(self.dul.socket, BoundedSocket) and self.dul.socket.in_pdu:
            self.dul.socket.cut()  # else the A-ABORT, and who sends it, would wait for the rest of a PDU
        return None, None

    def next_response(self) -> tuple[None, None] | tuple[int, DimseServiceType] | None:
        """What came in a moment: a response, the association's end, or None for nothing yet."""
        with suppress(queue.Empty):
            return self.msg_queue.get(timeout=_POLL_SECONDS)
        return None

    def take(self, context_id: int, received: DimsePrimitiveType) -> None:
        """Take in a whole message."""
        if self._awaited is not None and received.MessageIDBeingRespondedTo == self._awaited:
            self.msg_queue.put((context_id, cast("DimseServiceType", received)))

    def _receive_value(self, context_id: int, value: bytes) -> None:
        if context_id not in self.assoc._accepted_cx:
            raise ProtocolError("PDV on a presentation context that was not accepted")
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = BoundedBytes()
        message = self.message
        is_command, is_last = value[0] & 1, value[0] & 2
        if is_command:
            command = message.encoded_command_set.getvalue() + value[1:]
            if len(command) > MAX_COMMAND_BYTES:
                raise ProtocolError("command set too long")
            if is_last and not is_response_or_report(command):
                raise ProtocolError("a request where a response is awaited")
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        if message.decode_msg(single, self.assoc):
            self.message = None
            self.take(context_id, to_primitive(message))


class _EncodedDataSet(Responses):
    """Puts an encoded data set into a C-STORE request, in place of the one that pynetdicom has encoded."""

    def __init__(self, association: Association, data_set: BytesIO) -> None:
        super().__init__(association)
        self._data_set = data_set

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message."""
        if isinstance(primitive, C_STORE):
            primitive.DataSet = self._data_set
        super().send_msg(primitive, context_id)


class ReportMessages(Responses):
    """Keeps reports of the peer apart from its responses, and responds to them while somebody waits.

    pynetdicom gives each report a thread of its own, in which it disturbs the one that releases the
    association.

    Args:
        association: The association; its messages are these from then on.
        respond: Gives the status of the response to a report, which is in a transfer syntax.
    """

    def __init__(self, association: Association, respond: Callable[[N_EVENT_REPORT, UID], int]) -> None:
        super().__init__(association)
        self._respond = respond
        self._reports: queue.SimpleQueue[tuple[int, N_EVENT_REPORT]] = queue.SimpleQueue()
        association.dimse = self

    def take(self, context_id: int, received: DimsePrimitiveType) -> None:
        """Take in a whole message."""
        if isinstance(received, N_EVENT_REPORT) and received.is_valid_request:
            self._reports.put((context_id, received))
        else:
            super().take(context_id, received)

    def next_response(self) -> tuple[None, None] | tuple[int, DimseServiceType] | None:
        """The same. A peer may report before it responds, and wait with its response meanwhile."""
        self.serve()
        with suppress(queue.Empty):
            return self.msg_queue.get_nowait()
        return None

    def serve(self) -> None:
        """Wait a moment for a report, and respond to it."""
        try:
            context_id, report = self._reports.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        response = N_EVENT_REPORT()
        response.MessageIDBeingRespondedTo = report.MessageID
        response.AffectedSOPClassUID = report.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = report.AffectedSOPInstanceUID
        response.EventTypeID = report.EventTypeID
        context = self.assoc._accepted_cx.get(context_id)
        response.Status = (
            self._respond(report, context.transfer_syntax[0]) if context else _INVALID_ARGUMENT_VALUE
        )
        self.send_msg(response, context_id)
