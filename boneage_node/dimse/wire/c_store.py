"""Sending a stored file by C-STORE as it is, where pynetdicom would encode its data set anew."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import DimsePrimitiveType

_FILE_META_GROUP = 0x0002


def read_file_meta(file: BinaryIO) -> Dataset:
    """Read the file meta information of a DICOM file; the file then stands at its data set.

    Raises:
        InvalidDicomError: It is no DICOM file.
    """
    read_preamble(file, force=False)
    return read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_behind_file_meta)


def send_as_stored(association: Association, file: BinaryIO, message_id: int) -> Dataset:
    """Send a DICOM file without decoding its data set.

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
    association.dimse = _EncodedDataSet(association, BytesIO(file.read()))
    return association.send_c_store(stand_in, msg_id=message_id)


class _EncodedDataSet(DIMSEServiceProvider):
    """Puts an encoded data set into a C-STORE request, in place of the one that pynetdicom has encoded.

    Args:
        association: The association.
        data_set: The encoded data set.
    """

    def __init__(self, association: Association, data_set: BytesIO) -> None:
        super().__init__(association)
        self._data_set = data_set

    def send_msg(self, primitive: DimsePrimitiveType, context_id: int) -> None:
        """Send a message."""
        if isinstance(primitive, C_STORE):
            primitive.DataSet = self._data_set
        super().send_msg(primitive, context_id)


def _is_behind_file_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _FILE_META_GROUP
