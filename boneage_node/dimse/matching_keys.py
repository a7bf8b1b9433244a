"""Identifiers of a C-FIND as text: in which character set keys are sent, and what the bytes of a match say.

Source: DICOM PS3.3 C.12.1.1.2 (Specific Character Set), PS3.4 C.2.2.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_UTF_8 = "ISO_IR 192"
_UNTOLD = (
    _UTF_8,
    "ISO_IR 100",
    "ISO_IR 101",
    "ISO_IR 144",
    "ISO_IR 126",
    "ISO_IR 148",
    "ISO_IR 110",
    "ISO_IR 109",
    "ISO_IR 127",
    "ISO_IR 138",
    "ISO_IR 166",
    r"\ISO 2022 IR 87",
    r"\ISO 2022 IR 149",
    "GB18030",
)
"""Character sets in which archives write without saying so."""


def identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    """The identifier of a C-FIND; a value that is longer than DICOM allows goes out as it is."""
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    if not "".join(keys.values()).isascii():
        asked.SpecificCharacterSet = _UTF_8
    for keyword, value in keys.items():
        asked.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE))
    return asked


def row(match: Dataset, wanted: Mapping[str, str]) -> dict[str, str]:
    """A match as text by keyword.

    Where a PACS writes beyond ASCII and does not say in which character set, a value that can be read as the
    one that is looked for is that.

    Args:
        match: As it was received; nothing in it is decoded.
        wanted: The values that are looked for, by keyword; empty for any.
    """
    character_set = _raw(match, "SpecificCharacterSet").decode("ascii", "replace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote the values that they complain of
        return {
            keyword: _text(_raw(match, keyword), character_set, value) for keyword, value in wanted.items()
        }


def _text(raw: bytes, character_set: str, wanted: str) -> str:
    if not character_set and not wanted.isascii():
        for untold in _UNTOLD:
            if _decoded(raw, untold) == wanted:
                return wanted
    return _decoded(raw, character_set)


def _decoded(raw: bytes, character_set: str) -> str:
    return decode_bytes(raw, convert_encodings(character_set.split("\\")), set()).strip(" \0")


def _raw(match: Dataset, keyword: str) -> bytes:
    """The bytes of a value without their padding; empty where there is none."""
    element = match.get_item(keyword)
    value = None if element is None else element.value
    if isinstance(value, str):  # pydicom decodes the character set itself
        value = value.encode("ascii", "replace")
    elif not isinstance(value, bytes | None):
        value = "\\".join(value).encode("ascii", "replace")
    return (value or b"").strip(b" \0")
