"""Which instance a received file holds, read from its first kilobytes."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from .status import Status, StoreError

_UID = re.compile(r"[0-9.]{1,64}")
"""Laxer than DICOM PS3.5 section 9.1: zeros in front and empty components do no harm, and devices write
them."""
_LAST_TAG = Tag("SeriesInstanceUID")


def is_uid(value: str) -> bool:
    """Whether a value is made of a UID's characters and of a UID's length."""
    return _UID.fullmatch(value) is not None


def read_uids(path: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    """Read UIDs from a DICOM file without decoding anything else.

    Args:
        path: A whole DICOM file.
        keywords: Elements to read, none of them behind SeriesInstanceUID.

    Returns:
        The value for each keyword.

    Raises:
        StoreError: The data set cannot be parsed, or a value is missing or not a UID.
    """
    tags = {keyword: Tag(keyword) for keyword in keywords}
    try:
        with path.open("rb") as file:
            data_set = read_partial(file, stop_when=_is_behind, specific_tags=list(tags.values()))
            # Raw values: pydicom's conversion would warn about bad ones, and quote them.
            raw = {keyword: data_set.get_item(tag) for keyword, tag in tags.items()}
    except Exception as error:  # pydicom raises whatever the bytes bring about
        raise StoreError(Status.CANNOT_UNDERSTAND, "The data set cannot be parsed") from error
    values = {keyword: _text(getattr(element, "value", None)) for keyword, element in raw.items()}
    for keyword, value in values.items():
        if not is_uid(value):
            raise StoreError(Status.CANNOT_UNDERSTAND, f"{keyword} is missing or not a UID")
    return values


def _is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > int(_LAST_TAG)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return str(value or "").rstrip("\0 ")
