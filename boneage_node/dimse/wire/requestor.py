"""Messages on associations that the node opens: files sent as they are stored, and reports of the peer."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, C_STORE, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from .bounds import BoundedBytes

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


class _EncodedDataSet(DIMSEServiceProvider):
    """Puts an encoded data set into a C-STORE request, in place of the one that pynetdicom has encoded."""

    def __init__(self, association: Association, data_set: BytesIO) -> None:
        super().__init__(association)
        self._data_set = data_set

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message."""
        if isinstance(primitive, C_STORE):
            primitive.DataSet = self._data_set
        super().send_msg(primitive, context_id)


class ReportMessages(DIMSEServiceProvider):
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
        assert self.dimse_timeout is not None, "set where associations are opened"
        deadline = time.monotonic() + self.dimse_timeout
        while self.msg_queue.empty() and time.monotonic() < deadline:
            self.serve()
        return super().get_msg()

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
