"""Documents of a report: structured report, picture, FHIR Bundle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset

from boneage_node.bone_age import Answer, Attention, Course, Refusal
from boneage_node.report import (
    DeviceIdentity,
    Predecessor,
    assessment_sr,
    draw_picture,
    draw_refusal_picture,
    fhir_bundle,
    json_bytes,
    refusal_sr,
    secondary_capture,
)


@dataclass(frozen=True)
class ReportContent:
    """Content that the documents of one report share.

    Attributes:
        answer: The reading, or why there is none.
        source: Data set of the image, without its pixels.
        pixels: The image where it was decoded, as ``Radiograph.pixels``.
        device: The station that makes the report.
        created_at: When it is made.
        course: Earlier readings of the patient, where there are any.
        predecessor: The report on the same study that the new one follows.
        sop_class_uid: In which an assessment is said.
        sop_instance_uid: Of the structured report, by which the other documents are known too.
        attention: Where the networks looked, where that was asked for.
    """

    answer: Answer
    source: Dataset
    pixels: npt.NDArray[np.float32] | None
    device: DeviceIdentity
    created_at: datetime
    course: Course | None
    predecessor: Predecessor | None
    sop_class_uid: str
    sop_instance_uid: str
    attention: Attention | None


def structured_report(content: ReportContent) -> Dataset:
    """The structured report."""
    if isinstance(content.answer, Refusal):
        return refusal_sr(
            content.source,
            content.answer,
            sop_instance_uid=content.sop_instance_uid,
            created_at=content.created_at,
            device=content.device,
            predecessor=content.predecessor,
        )
    return assessment_sr(
        content.source,
        content.answer,
        sop_instance_uid=content.sop_instance_uid,
        created_at=content.created_at,
        device=content.device,
        sop_class_uid=content.sop_class_uid,
        course=content.course,
        predecessor=content.predecessor,
    )


def picture(content: ReportContent) -> Dataset:
    """The picture beside the structured report, under the same number."""
    assessment = None if isinstance(content.answer, Refusal) else content.answer
    return secondary_capture(
        content.source,
        _drawn(content),
        report_instance_uid=content.sop_instance_uid,
        created_at=content.created_at,
        device=content.device,
        of_hand=assessment is not None,
        laterality=assessment.laterality if assessment else None,
        number=content.predecessor.number + 1 if content.predecessor else 1,
    )


def bundle(content: ReportContent) -> bytes:
    """The FHIR Bundle, as it is sent."""
    return json_bytes(
        fhir_bundle(
            content.source,
            content.answer,
            report_instance_uid=content.sop_instance_uid,
            created_at=content.created_at,
            device=content.device,
            course=content.course,
        )
    )


def _drawn(content: ReportContent) -> Image.Image:
    if isinstance(content.answer, Refusal):
        return draw_refusal_picture(content.pixels, content.answer, content.device)
    assert content.pixels is not None, "what was assessed was decoded"
    return draw_picture(content.pixels, content.answer, content.course, content.device, content.attention)
