"""A report: the answer of a reading with all that its documents (SR, picture, FHIR) share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cached_property

from pydicom import Dataset
from pydicom.uid import ComprehensiveSRStorage

from boneage_node.bone_age import Answer, Course, Refusal
from boneage_node.radiograph import read_visit

from .identity import DEFAULT_DEVICE, DeviceIdentity, Kind
from .source import SourceImage
from .wording import assessment_sentences, refusal_sentences, replaced_sentence


@dataclass(frozen=True)
class Predecessor:
    """The structured report of the same study that a new one follows.

    Attributes:
        sop_class_uid: Its SOP class.
        sop_instance_uid: Its SOP instance.
        kind: What it says.
        number: How many there are already.
        created_at: When it was made, with a time zone.
        bone_age_months: What was read; None where it is a refusal.
    """

    sop_class_uid: str
    sop_instance_uid: str
    kind: Kind
    number: int
    created_at: datetime
    bone_age_months: float | None


@dataclass(frozen=True)
class Report:
    """Content that the documents of one report share.

    Attributes:
        source: Data set of the image, as ``pydicom.dcmread`` returned it (pixels not needed), of any quality.
            Nothing in it is decoded.
        answer: The reading, or why there is none; an outline is in pixels of that image.
        sop_instance_uid: Of the structured report, from ``report_instance_uid``. All other UIDs and
            identifiers of its documents follow from it and the image's.
        created_at: When the report is made, with a time zone.
        device: The station that makes it.
        sop_class_uid: Of an assessment's structured report: Comprehensive SR, or Comprehensive 3D SR as IHE
            AI Results asks for.
        course: Earlier readings of the patient.
        predecessor: The report on the same study that this one follows.
    """

    source: Dataset
    answer: Answer
    sop_instance_uid: str
    created_at: datetime
    device: DeviceIdentity = DEFAULT_DEVICE
    sop_class_uid: str = ComprehensiveSRStorage
    course: Course | None = None
    predecessor: Predecessor | None = None

    @cached_property
    def image(self) -> SourceImage:
        """The image that DICOM documents refer to.

        Raises:
            ValueError: The source has no StudyInstanceUID.
        """
        return SourceImage.of(self.source)

    @property
    def number(self) -> int:
        """How manieth report of the study it is, from 1; the InstanceNumber of its DICOM documents."""
        return self.predecessor.number + 1 if self.predecessor else 1

    @property
    def exam_date(self) -> date | None:
        """The day of the study, as far as the header says it."""
        return read_visit(self.source).study_date

    @property
    def sentences(self) -> list[str]:
        """All that its documents say in words, what it says of the hand first."""
        if isinstance(self.answer, Refusal):
            said, *others = refusal_sentences(self.answer)
        else:
            said, *others = assessment_sentences(self.answer, self.course)
        return [said, *([self.replaces] if self.replaces else []), *others]

    @property
    def replaces(self) -> str:
        """Sentence on the report that this one replaces; empty where there is none."""
        earlier = self.predecessor
        if earlier is None:
            return ""
        made = self.in_zone_of_image(earlier.created_at)
        return replaced_sentence(earlier.number, made, earlier.bone_age_months)

    def in_zone_of_image(self, at: datetime) -> datetime:
        """A time in the zone of the image's TimezoneOffsetFromUTC, or the local one if it has none."""
        try:
            offset = datetime.strptime(self.image.timezone_offset, "%z").utcoffset()
        except ValueError:
            return at.astimezone()
        return at.astimezone(timezone(offset or timedelta()))
