"""Station that makes the reports, and UIDs of what is made.

Every UID derives from what was read, so that a study read twice by the same model makes the same object, and
sending it twice is the same object sent twice.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import astuple, dataclass
from enum import StrEnum
from itertools import chain, count

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from boneage_node import __version__
from boneage_node.bone_age import Answer, Assessment, Course
from boneage_node.radiograph import read_visit

from .source import IDENTIFYING, SourceImage, quoted
from .wording import course_sentences

# Random, and never to be changed: all UIDs of all installations are derived under it.
_NAMESPACE = uuid.UUID("6f0e4d6c-3c1b-4c53-9d0b-6a1d3b0f7c52")

# Raised whenever the same reading would be said in other words or with other content items.
REVISION = "4"


class Kind(StrEnum):
    """The kinds of object."""

    ASSESSMENT = "assessment"
    REFUSAL = "refusal"
    PICTURE = "picture"


_DESCRIPTIONS = {
    Kind.ASSESSMENT: "Bone age{number} (AI)",
    Kind.REFUSAL: "Bone age{number} (AI): not read",
    Kind.PICTURE: "Bone age picture{number} (AI)",
}


@dataclass(frozen=True)
class Series:
    """The series of an object: each has one of its own, so that a list of series tells what replaces what.

    Nothing can be changed in an object that has been sent: the one that replaces it says so.

    Attributes:
        study_instance_uid: The study.
        kind: What is in it.
        report_number: How manieth report of the study it belongs to, from 1.
    """

    study_instance_uid: str
    kind: Kind
    report_number: int

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        again = () if self.report_number == 1 else (str(self.report_number),)
        return derive_uid("series", self.study_instance_uid, self.kind, *again)

    @property
    def number(self) -> int:
        """SeriesNumber: high, so that viewers list reports after the images, and the newest last."""
        return 9001 + 10 * (self.report_number - 1) + list(Kind).index(self.kind)

    @property
    def description(self) -> str:
        """SeriesDescription; the number comes early, as viewers cut it short."""
        if self.report_number == 1:
            return _DESCRIPTIONS[self.kind].format(number="")
        description = _DESCRIPTIONS[self.kind].format(number=f" {self.report_number}")
        return f"{description}, replaces {self.report_number - 1}"


@dataclass(frozen=True)
class DeviceIdentity:
    """The station that makes the reports.

    Attributes:
        name: Name of the station, usually its AE title; ASCII.
        manufacturer: Manufacturer, as in General Equipment (PS3.3 C.7.5.1).
        model_name: ManufacturerModelName.
        software_version: SoftwareVersions.
    """

    name: str = "BONEAGE"
    manufacturer: str = "boneage-node"
    model_name: str = "boneage-node"
    software_version: str = __version__

    @property
    def uid(self) -> str:
        """Device Observer UID (TID 1004): the same for the same name, over restarts and versions."""
        return derive_uid("device", self.manufacturer, self.model_name, self.name)


DEFAULT_DEVICE = DeviceIdentity()


def derive_uid(*parts: str) -> str:
    """A UID that is a function of its parts: a UUID of version 5 under ``2.25`` (PS3.5 B.2).

    Args:
        parts: What the UID stands for, in order. The order and the division into parts matter.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def report_instance_uid(
    source: Dataset,
    answer: Answer,
    pixels: npt.NDArray[np.float32] | None,
    device: DeviceIdentity = DEFAULT_DEVICE,
    *,
    sop_class_uid: str = ComprehensiveSRStorage,
    course: Course | None = None,
    overtaken: Collection[str] = (),
) -> str:
    """SOPInstanceUID of the structured report of an answer.

    Args:
        source: Data set of the image that was read or refused.
        answer: Of an assessment count the model, the sex, or that it is unknown, the age and the side; of a
            refusal the reason.
        pixels: The image as it was read; None where it was refused before it was decoded. They count, as does
            what the report quotes or tells of the image; how both are encoded in a file does not, nor what is
            never read.
        device: Its software version counts, as the same weights may read otherwise in another version.
        sop_class_uid: In which an assessment is said.
        course: Earlier readings of the patient, which the report tells.
        overtaken: UIDs of earlier reports of the study that are not its newest. A study can come back to an
            answer after another one, by an older model, for example. Viewers show the newest report, which
            would go on to be the other one: so the answer gets a new UID then.

    Raises:
        ValueError: The source has no StudyInstanceUID.
    """
    study_instance_uid = SourceImage.of(source).study_instance_uid
    if isinstance(answer, Assessment):
        said = _said(source, answer, sop_class_uid, course)
    else:
        # Of no image in particular: a refusal is said once for its cause, whichever image showed it.
        said = [Kind.REFUSAL, answer.code, answer.detail, *quoted(source, IDENTIFYING)]
    read = (study_instance_uid, "" if pixels is None else _digest(pixels))
    uids = (
        derive_uid("instance", *read, *said, device.software_version, REVISION, *again)
        for again in chain([()], ((str(returns),) for returns in count(1)))
    )
    return next(uid for uid in uids if uid not in overtaken)


def _said(source: Dataset, answer: Assessment, sop_class_uid: str, course: Course | None) -> list[str]:
    """All that an assessment's documents say but what follows from pixels and model."""
    earlier = course_sentences(course, answer) if course else ()
    known = (answer.sex or "unknown", answer.chronological_age_months, answer.laterality)
    return [
        Kind.ASSESSMENT,
        answer.model.sha256,
        sop_class_uid,
        *map(str, known),
        *map(str, astuple(SourceImage.of(source))),
        *map(str, astuple(read_visit(source))),
        *quoted(source),
        *earlier,
    ]


def _digest(pixels: npt.NDArray[np.float32]) -> str:
    """Hex digest of an image's size and grey values."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels, "<f4").data)
    return digest.hexdigest()
