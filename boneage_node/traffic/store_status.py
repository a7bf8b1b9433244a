"""Statuses of responses, and the meaning of those to C-STORE and STOW-RS.

Source: PS3.7 Annex C, PS3.4 Table B.2-1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

SUCCESS = 0x0000


class StatusCode(IntEnum):
    """A code of DICOM with its meaning.

    Attributes:
        words: The meaning.
    """

    words: str

    def __new__(cls, code: int, words: str) -> Self:
        """A member: an integer that knows its meaning."""
        status = int.__new__(cls, code)
        status._value_ = code
        status.words = words
        return status


def is_warning(status: int) -> bool:
    """Tell whether a status says that the destination keeps the instance, but not quite as it was sent."""
    return status in (0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF


def is_delivered(status: int) -> bool:
    """Tell whether a status says that the destination keeps the instance.

    Success, a warning (0xBxxx, 0x0107, 0x0116), or that it has the instance already (0x0111): what this node
    sends bears identifiers derived from its content, so the same identifier is the same object.
    """
    return status in (0x0000, 0x0111) or is_warning(status)


def is_permanent(status: int) -> bool:
    """Tell whether a failure will be the same next time.

    The data set does not match its class (0xA9xx) or is not understood (0xCxxx), the instance or class is
    refused (0x0117, 0x0122), or the request itself is wrong (0x0106, 0x0115, 0x0120, 0x0121, 0x0210 to
    0x0212). Anything else, such as out of resources (0xA7xx), processing failure (0x0110) and not authorised
    (0x0124, which an administrator mends), may pass.
    """
    if 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF:
        return True
    return status in (0x0106, 0x0115, 0x0117, 0x0120, 0x0121, 0x0122, 0x0210, 0x0211, 0x0212)


def sentence(status: int) -> str:
    """Return a status in words, with its number."""
    return f"{meaning(status)} (status 0x{status:04X})"


def warning_sentence(status: int) -> str:
    """Return what a destination had to say about what it took, as a sentence."""
    if is_warning(status):
        said = sentence(status)
        return f"{said[:1].upper()}{said[1:]}."
    return f"The destination stored the instance with a warning (reason 0x{status:04X})."


def meaning(status: int) -> str:
    """Return a status in words."""
    if 0xA700 <= status <= 0xA7FF:
        return "the destination is out of resources"
    if 0xA900 <= status <= 0xA9FF:
        return "the destination says that the data set does not match its SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return "the destination cannot understand the data set"
    known = {
        0x0000: "stored",
        0x0107: "the destination stored the instance, and does not know all of its attributes",
        0x0110: "the destination failed while processing the request",
        0x0111: "the destination has the instance already",
        0x0116: "the destination stored the instance, and finds values of it out of range",
        0x0117: "the destination calls the instance invalid",
        0x0122: "the destination does not support the SOP class",
        0x0124: "the destination does not authorise this AE title to store: allow it there",
        0xB000: "the destination stored the instance, and changed data elements of it (coercion)",
        0xB006: "the destination stored the instance, and discarded data elements of it",
        0xB007: "the destination stored the instance, though its data set does not match its SOP class there",
    }
    others = "stored the instance with a warning" if is_warning(status) else "refused the instance"
    return known.get(status, f"the destination {others}")
