"""Storage commitment, as it crosses between network and store (PS3.4 Annex J)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from boneage_node.errors import BoneAgeError

from .store_status import StatusCode

MAX_OPEN_REQUESTS = 500
"""Requests of peers that may wait for their result to be sent; each is up to a few hundred kilobytes."""


class TooManyRequests(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """So many requests wait for their results already that no more is taken."""


class ReferencedSop(NamedTuple):
    """An object that a request or a result refers to."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class CommitmentRequest:
    """A request for storage commitment: of the node to a destination, or of a peer to the node.

    Attributes:
        peer: The destination that is requested to commit, as the settings have it; or the calling AE title
            of the peer that requests.
        transaction_uid: Transaction UID, by which the result refers to the request.
        references: The objects.
        id: Row of a peer's request; 0 where there is none.
        attempts: Which attempt to send a peer its result this is, from 1; 0 before there was one.
        study_ids: The studies that the objects of the node's own request belong to.
    """

    peer: str
    transaction_uid: str
    references: tuple[ReferencedSop, ...]
    id: int = 0
    attempts: int = 0
    study_ids: tuple[int, ...] = ()


class FailureReason(StatusCode):
    """Failure Reason (0008,1197) of an object that is not committed, PS3.3 C.14.1.1; said of the peer."""

    PROCESSING_FAILURE = 0x0110, "it failed while processing the request"
    NO_SUCH_OBJECT_INSTANCE = 0x0112, "it has no such object"
    CLASS_INSTANCE_CONFLICT = 0x0119, "it has the object under another SOP class"
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122, "it does not support the SOP class"
    DUPLICATE_TRANSACTION_UID = 0x0131, "it takes the transaction UID for one used before"
    RESOURCE_LIMITATION = 0x0213, "it is short of resources"


_OF_THE_REQUEST = (
    FailureReason.PROCESSING_FAILURE,
    FailureReason.DUPLICATE_TRANSACTION_UID,
    FailureReason.RESOURCE_LIMITATION,
)
"""Reasons that say nothing of the object: another request for it may succeed."""


@dataclass(frozen=True)
class FailedReference:
    """An object that is not committed.

    Attributes:
        referenced: The object.
        reason: Failure Reason, a `FailureReason` or a number of the peer's own; None where it gave none.
    """

    referenced: ReferencedSop
    reason: int | None

    @property
    def sentence(self) -> str:
        """The reason in words, as said of the peer."""
        if self.reason is None:
            return "it does not say why"
        known = next((reason for reason in FailureReason if reason == self.reason), None)
        return f"{known.words if known else 'for a reason of its own'} (0x{self.reason:04X})"

    @property
    def is_lost(self) -> bool:
        """Whether the object has to be sent again; else a further request is enough."""
        return self.reason not in _OF_THE_REQUEST


@dataclass(frozen=True)
class CommitmentResult:
    """The result of a request, of a destination to the node or of the node to a peer.

    Attributes:
        transaction_uid: Transaction UID of the request.
        committed: The objects that are kept.
        failed: The others.
    """

    transaction_uid: str
    committed: tuple[ReferencedSop, ...]
    failed: tuple[FailedReference, ...]
