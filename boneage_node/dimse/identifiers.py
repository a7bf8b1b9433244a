"""UIDs and accession number of a received file, read from its first kilobytes."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.charset import decode_bytes, python_encoding
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from boneage_node.traffic.uid import is_uid

from .status import RequestError, Status

_LAST_TAG = Tag("SeriesInstanceUID")
MAX_HEADER_BYTES = 2**20
"""Most bytes that are read of a file; values that are passed over do not count. Items of eight bytes become
objects of many more, and take their time."""
_META_LENGTH_OFFSET = 140
"""The value of File Meta Information Group Length: behind preamble, prefix and its own header."""
_FIRST_GROUP = 0x0008


class _HeaderReader(io.BufferedReader):
    """Reads a file up to so many bytes."""

    _left_bytes = MAX_HEADER_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes.

        Raises:
            RequestError: They are more than a header has.
        """
        if size is None or not 0 <= size <= self._left_bytes:
            raise RequestError(Status.CANNOT_UNDERSTAND, "The header is too long")
        self._left_bytes -= size
        return super().read(size)


@dataclass(frozen=True)
class Identifiers:
    """What names a received instance.

    Attributes:
        uids: The value for each keyword that was asked for.
        accession_number: Accession Number (0008,0050), decoded; empty where the header has none.
    """

    uids: dict[str, str]
    accession_number: str


def read_identifiers(path: Path, keywords: tuple[str, ...]) -> Identifiers:
    """Read UIDs and the accession number from a DICOM file without decoding anything else.

    Args:
        path: A whole DICOM file, whose file meta information is the node's own.
        keywords: UIDs to read, none of them behind SeriesInstanceUID.

    Raises:
        RequestError: The data set cannot be parsed, or a UID is missing or none.
    """
    tags = {keyword: Tag(keyword) for keyword in (*keywords, "SpecificCharacterSet", "AccessionNumber")}
    try:
        with _HeaderReader(io.FileIO(path)) as file:
            _check_first_group(file)
            data_set = read_partial(file, stop_when=_is_behind, specific_tags=list(tags.values()))
            # Raw values: pydicom's conversion would warn about bad ones, and quote them.
            values = {
                keyword: getattr(data_set.get_item(tag), "value", None) for keyword, tag in tags.items()
            }
    except RequestError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes bring about
        raise RequestError(Status.CANNOT_UNDERSTAND, "The data set cannot be parsed") from error
    uids = {keyword: text(values[keyword]) for keyword in keywords}
    for keyword, value in uids.items():
        if not is_uid(value):
            raise RequestError(Status.CANNOT_UNDERSTAND, f"{keyword} is missing or not a UID")
    return Identifiers(uids, _accession_number(values))


def _accession_number(values: Mapping[str, object]) -> str:
    """The accession number in the characters of the data set; what cannot be decoded is replaced."""
    value = values["AccessionNumber"]
    if not isinstance(value, bytes):
        return text(value)
    written = values["SpecificCharacterSet"]
    # Of several terms pydicom has made a list already.
    terms = written if isinstance(written, MultiValue) else text(written).split("\\")
    encodings = [python_encoding.get(str(term).strip(), "latin_1") for term in terms]
    decoded = value.decode(encodings[0], errors="replace")
    if b"\x1b" in value:
        with suppress(Exception):  # whatever pydicom makes of escape sequences that are none
            decoded = decode_bytes(value, encodings, set())
    return decoded.strip("\0 ")


def _check_first_group(file: io.BufferedReader) -> None:
    """Refuse a data set that goes on with file meta information where the node's own ends.

    A reader that goes by group, as pydicom does, takes its elements for the node's: a transfer syntax that
    was never accepted, deflated above all.

    Raises:
        RequestError: It begins with a group that no data set has (DICOM PS3.5 section 7.1).
    """
    file.seek(_META_LENGTH_OFFSET)
    file.seek(struct.unpack("<L", file.read(4))[0], io.SEEK_CUR)
    group = file.read(2)
    # In either byte order: file meta information is little endian in front of big endian data sets, too.
    if min(int.from_bytes(group, "little"), int.from_bytes(group, "big")) < _FIRST_GROUP:
        raise RequestError(Status.CANNOT_UNDERSTAND, "The data set begins with another kind of group")
    file.seek(0)


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > int(_LAST_TAG)


def text(value: object) -> str:
    """A value as text, whether pydicom has decoded it or not."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return str(value or "").rstrip("\0 ")
