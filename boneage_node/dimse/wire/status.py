"""The status codes of C-STORE, in one place: those the receiver answers with and what those of a peer mean.

Source: DICOM PS3.7 Annex C, PS3.4 Table B.2-1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Generic, Self, TypeVar

from pydicom.dataset import Dataset

MAX_COMMENT_CHARACTERS = 64
"""ErrorComment is of value representation LO."""


class StatusCode(IntEnum):
    """A status that the node answers with.

    Attributes:
        when: In what case, in words.
    """

    when: str

    def __new__(cls, code: int, when: str) -> Self:
        """A member: an integer that knows its meaning."""
        status = int.__new__(cls, code)
        status._value_ = code
        status.when = when
        return status


class Status(StatusCode):
    """What the receiver answers a C-STORE request with."""

    SUCCESS = 0x0000, "stored: the bytes are on disk, and the database knows them"
    SOP_CLASS_NOT_SUPPORTED = 0x0122, "the request names another SOP class than its presentation context"
    OUT_OF_RESOURCES = (
        0xA700,
        "disk full, data set too large, or the database cannot take it: send it again later",
    )
    DATA_SET_DOES_NOT_MATCH = 0xA900, "the data set is of another SOP class than the request says"
    CANNOT_UNDERSTAND = 0xC000, "the data set cannot be read, or lacks a valid UID that it must have"


Code = TypeVar("Code", bound=StatusCode)


class RequestError(Exception, Generic[Code]):
    """A request that is answered with a failure.

    Args:
        status: The status to answer with.
        comment: ErrorComment, at most 64 characters; never patient data, which the peer may log.
    """

    def __init__(self, status: Code, comment: str) -> None:
        self.status = status
        self.comment = comment[:MAX_COMMENT_CHARACTERS]
        super().__init__(status, comment)

    def to_dataset(self) -> Dataset:
        """The status as pynetdicom takes it from a handler."""
        answer = Dataset()
        answer.Status = int(self.status)
        answer.ErrorComment = self.comment
        return answer


class StoreError(RequestError[Status]):
    """A C-STORE request that is answered with a failure."""


def is_delivered(status: int) -> bool:
    """Whether a peer's status says that it keeps the instance.

    Success, a warning (0xBxxx, 0x0107, 0x0116), or that it has the instance already (0x0111): what this node
    sends bears identifiers derived from its content, so the same identifier is the same object.
    """
    return status in (0x0000, 0x0107, 0x0111, 0x0116) or 0xB000 <= status <= 0xBFFF


def is_permanent(status: int) -> bool:
    """Whether a peer's failure will be the same next time.

    The data set does not match its class (0xA9xx) or is not understood (0xCxxx), the instance or class is
    refused (0x0117, 0x0122), or the request itself is wrong (0x0106, 0x0115, 0x0120, 0x0121, 0x0210 to
    0x0212). Anything else, such as out of resources (0xA7xx), processing failure (0x0110) and not authorised
    (0x0124, which an administrator mends), may pass.
    """
    if 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF:
        return True
    return status in (0x0106, 0x0115, 0x0117, 0x0120, 0x0121, 0x0122, 0x0210, 0x0211, 0x0212)


def sentence(status: int) -> str:
    """A peer's status in words, with its number."""
    return f"{meaning(status)} (status 0x{status:04X})"


def meaning(status: int) -> str:
    """A peer's status in words."""
    if 0xA700 <= status <= 0xA7FF:
        return "the destination is out of resources"
    if 0xA900 <= status <= 0xA9FF:
        return "the destination says that the data set does not match its SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return "the destination cannot understand the data set"
    if 0xB000 <= status <= 0xBFFF or status in (0x0107, 0x0116):
        return "the destination stored the instance with a warning"
    return {
        0x0000: "stored",
        0x0110: "the destination failed while processing the request",
        0x0111: "the destination has the instance already",
        0x0117: "the destination calls the instance invalid",
        0x0122: "the destination does not support the SOP class",
        0x0124: "the destination does not authorise this AE title to store: allow it there",
    }.get(status, "the destination refused the instance")
