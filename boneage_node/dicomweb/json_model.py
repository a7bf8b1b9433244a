"""The DICOM JSON model (PS3.18 Annex F), as far as answers are read here: by tag, first values.

What is malformed reads as absent: no answer of a service is trusted to be well formed.
"""

from __future__ import annotations

import json
from typing import Any

from boneage_node.errors import BoneAgeError

DICOM_JSON = "application/dicom+json"


class NotDicomJson(BoneAgeError):  # noqa: N818 - reads as what it says
    """The text is not DICOM JSON."""


def data_sets(body: bytes) -> list[dict[str, Any]]:
    """The data sets of an answer, one or several.

    Raises:
        NotDicomJson: It is something else.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise NotDicomJson from None
    found = told if isinstance(told, list) else [told]
    if not all(isinstance(data_set, dict) for data_set in found):
        raise NotDicomJson
    return found


def items(data_set: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    """The items of a sequence; none where it is not there."""
    return [item for item in _values(data_set, tag) if isinstance(item, dict)]


def text(data_set: dict[str, Any], tag: str) -> str:
    """The first value of an element as text, empty where there is none."""
    value = next(iter(_values(data_set, tag)), None)
    return "" if value is None else str(value).strip(" \0")


def _values(data_set: dict[str, Any], tag: str) -> list[Any]:
    element = data_set.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
