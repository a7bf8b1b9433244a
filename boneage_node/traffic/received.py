"""An instance that was received, and what the store made of it."""

from __future__ import annotations

from dataclasses import dataclass

from boneage_node.errors import BoneAgeError


class NotAcceptable(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """A received object cannot be filed; the message says why, without the value."""


@dataclass(frozen=True)
class Received:
    """A received instance, as far as the receiver reads it.

    Attributes:
        sop_class_uid: Affected SOP Class UID.
        sop_instance_uid: Affected SOP Instance UID.
        study_instance_uid: Study Instance UID of the data set.
        series_instance_uid: Series Instance UID of the data set.
        transfer_syntax_uid: Transfer syntax of the data set as it was sent.
        calling_ae_title: Who sent it.
        accession_number: Accession Number of the data set; empty where it has none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    accession_number: str = ""


@dataclass(frozen=True)
class Accepted:
    """Place where a received instance was filed.

    Attributes:
        study_id: Row of its study.
        instance_id: Its row.
        new: False when the very same bytes had been received before.
    """

    study_id: int
    instance_id: int
    new: bool
