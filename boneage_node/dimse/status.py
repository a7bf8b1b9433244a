"""The statuses that the receiver answers with.

Source: DICOM PS3.7 Annex C, PS3.4 Table B.2-1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Generic, Self, TypeVar

from pydicom.dataset import Dataset

from boneage_node.errors import BoneAgeError

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
    """Status with which the receiver answers a C-STORE request."""

    SUCCESS = 0x0000, "stored: the bytes are on disk, and the database knows them"
    SOP_CLASS_NOT_SUPPORTED = 0x0122, "the request names another SOP class than its presentation context"
    OUT_OF_RESOURCES = (
        0xA700,
        "disk full, data set too large, or the database cannot take it: send it again later",
    )
    DATA_SET_DOES_NOT_MATCH = 0xA900, "the data set is of another SOP class than the request says"
    CANNOT_UNDERSTAND = 0xC000, "the data set cannot be read, or lacks a valid UID that it must have"


Code = TypeVar("Code", bound=StatusCode)


class RequestError(BoneAgeError, Generic[Code]):
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
