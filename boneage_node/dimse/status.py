"""The statuses of the node's responses, and failures that become one.

Source: DICOM PS3.7 Annex C, PS3.4 Table B.2-1.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from boneage_node.errors import BoneAgeError
from boneage_node.traffic.store_status import StatusCode

MAX_COMMENT_CHARACTERS = 64
"""ErrorComment is of value representation LO."""


class Status(StatusCode):
    """Status of a response to a C-STORE request."""

    SUCCESS = 0x0000, "stored: the bytes are on disk, and the database knows them"
    SOP_CLASS_NOT_SUPPORTED = 0x0122, "the request names another SOP class than its presentation context"
    OUT_OF_RESOURCES = (
        0xA700,
        "disk full, data set too large, or the database cannot take it: send it again later",
    )
    DATA_SET_DOES_NOT_MATCH = 0xA900, "the data set is of another SOP class than the request says"
    CANNOT_UNDERSTAND = 0xC000, "the data set cannot be read, or lacks a valid UID that it must have"


class RequestError(BoneAgeError):
    """A request that gets a failure for its response.

    Args:
        status: The status of the response.
        comment: ErrorComment, at most 64 characters; never patient data, which the peer may log.
    """

    def __init__(self, status: StatusCode, comment: str) -> None:
        self.status = status
        self.comment = comment[:MAX_COMMENT_CHARACTERS]
        super().__init__(status, comment)

    def to_dataset(self) -> Dataset:
        """The status as pynetdicom takes it from a handler."""
        response = Dataset()
        response.Status = int(self.status)
        response.ErrorComment = self.comment
        return response
