"""File meta information (PS3.10, 7.1): what a file says of itself before its data set."""

from __future__ import annotations

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag

from boneage_node.traffic.file import StoredFile

_GROUP = 0x0002


def read_file_meta(file: StoredFile) -> FileMetaDataset:
    """Read the file meta information of a file, and nothing else of it.

    Raises:
        OSError: The file is not there, or cannot be read.
        InvalidDicomError: It is no DICOM file.
    """
    with file.open() as opened:
        read_preamble(opened, force=False)
        meta = read_dataset(opened, is_implicit_VR=False, is_little_endian=True, stop_when=_is_behind)
    return FileMetaDataset(meta)


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _GROUP
