"""Storage commitment, as it crosses between network and store (PS3.4 Annex J)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from boneage_node.errors import BoneAgeError


@dataclass(frozen=True)
class CommitmentAsk:
    """What one destination is to be asked, in one request.

    Attributes:
        transaction_uid: The request's own UID, by which the answer is known.
        destination: Whom to ask, ``AE@host:port``.
        instances: SOP Class UID and SOP Instance UID of each object.
        study_ids: The studies they belong to.
    """

    transaction_uid: str
    destination: str
    instances: tuple[tuple[str, str], ...]
    study_ids: tuple[int, ...]


@dataclass(frozen=True)
class RefusedInstance:
    """An object for which the destination does not vouch.

    Attributes:
        sop_instance_uid: Which.
        reason: Why not, in words.
        lost: Sending it again may help; else asking again may.
    """

    sop_instance_uid: str
    reason: str
    lost: bool


@dataclass(frozen=True)
class CommitmentReport:
    """A destination's answer to a request."""

    transaction_uid: str
    committed: tuple[str, ...]
    refused: tuple[RefusedInstance, ...]


MAX_OPEN_REQUESTS = 500
"""Requests that may wait for their answer to be delivered; each is up to a few hundred kilobytes."""


class TooManyRequests(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """So many requests wait for their answers already that no more is taken."""


class NotKept(StrEnum):
    """Why the node does not vouch for an object."""

    NO_SUCH_INSTANCE = "no-such-instance"
    CLASS_CONFLICT = "class-conflict"


@dataclass(frozen=True)
class CommitmentRequest:
    """A peer's request.

    Attributes:
        calling_ae_title: Who asks.
        transaction_uid: The request's UID, given by the peer.
        instances: SOP Class UID and SOP Instance UID of each object.
        id: Its row; 0 before there is one.
        attempts: Which attempt to answer it this is, from 1; 0 before there was one.
    """

    calling_ae_title: str
    transaction_uid: str
    instances: tuple[tuple[str, str], ...]
    id: int = 0
    attempts: int = 0


@dataclass(frozen=True)
class CommitmentAnswer:
    """What the node answers.

    Attributes:
        transaction_uid: Of the request.
        kept: SOP Class UID and SOP Instance UID of each object that the node has in full.
        not_kept: The same, with the reason, of the others.
    """

    transaction_uid: str
    kept: tuple[tuple[str, str], ...]
    not_kept: tuple[tuple[str, str, NotKept], ...]
