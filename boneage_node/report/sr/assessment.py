"""The bone age as a structured report: Comprehensive SR, TID 1500 with one group of TID 1410."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    FindingSite,
    ImageRegion,
    MeasurementReport,
    ObservationContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from boneage_node.bone_age import Assessment, Course
from boneage_node.report import codes
from boneage_node.report.identity import DEFAULT_DEVICE, DeviceIdentity, Kind, derive_uid
from boneage_node.report.source import SourceImage
from boneage_node.report.wording import agreement_sentence, course_sentences

from .document import Predecessor, context, sr_document
from .measurements import measurements
from .outline import outline_polyline

ALGORITHM_NAME = "boneage-node"
SR_CLASSES = {"comprehensive": ComprehensiveSRStorage, "comprehensive-3d": Comprehensive3DSRStorage}
"""SOP classes of the report, by the names that the settings have for them."""

_CONTAINS = RelationshipTypeValues.CONTAINS


def assessment_sr(
    source: Dataset,
    assessment: Assessment,
    *,
    sop_instance_uid: str,
    created_at: datetime,
    device: DeviceIdentity = DEFAULT_DEVICE,
    sop_class_uid: str = ComprehensiveSRStorage,
    course: Course | None = None,
    predecessor: Predecessor | None = None,
) -> Dataset:
    """The structured report of an assessment.

    All numbers are in one measurement group that has the outline of the hand: a group without graphics blanks
    the whole report in OHIF.

    Args:
        source: Data set of the image that was read, as ``pydicom.dcmread`` returned it (pixels not needed).
            Nothing but StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, SOPClassUID, Rows and Columns has
            to be in it.
        assessment: The reading; its outline in pixels of that image.
        sop_instance_uid: Of the report, from ``report_instance_uid``.
        created_at: When the reading was made, with a time zone.
        device: The station that made it.
        sop_class_uid: Comprehensive SR, or Comprehensive 3D SR as IHE AI Results asks for.
        course: Earlier readings of the patient.
        predecessor: The report on the same study that this one follows.

    Returns:
        The report, whose other UIDs follow from its own and the image's.

    Raises:
        ValueError: The source lacks a UID that the report must refer to or is no image, or the outline is no
            outline.
    """
    image = _referable(source)
    earlier = course_sentences(course, assessment) if course else ()
    rows, columns = int(source.Rows), int(source.Columns)
    polyline = outline_polyline(assessment.outline_px, rows, columns)
    # What is invalid in the image must not keep it from having a report.
    with disable_value_validation():
        language, observer = context(device)
        content = MeasurementReport(
            observation_context=ObservationContext(observer_device_context=observer),
            procedure_reported=codes.IMAGING_PROCEDURE,
            imaging_measurements=[_group(image, assessment, polyline, device, sop_instance_uid)],
            title=codes.IMAGING_MEASUREMENT_REPORT,
            language_of_content_item_and_descendants=language,
            referenced_images=[_library_entry(image, rows, columns)],
        )
        content[0].ContentSequence.append(_evaluations(assessment, earlier))
        return sr_document(
            source,
            content[0],
            kind=Kind.ASSESSMENT,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            device=device,
            created_at=created_at,
            predecessor=predecessor,
        )


def _referable(source: Dataset) -> SourceImage:
    """The image that the measurements refer to.

    Raises:
        ValueError: It has not its UIDs, or is no image.
    """
    image = SourceImage.of(source)
    if not image.can_be_referenced:
        raise ValueError("an image without its UIDs cannot have an assessment")
    if not image.is_image:
        raise ValueError("an object that is no image cannot have an assessment")
    return image


def _group(
    image: SourceImage,
    assessment: Assessment,
    polyline: npt.NDArray[np.float64],
    device: DeviceIdentity,
    sop_instance_uid: str,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """The measurement group: outline, algorithm and numbers (TID 1410)."""
    laterality = codes.LATERALITIES[assessment.laterality] if assessment.laterality else None
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        # Its own in each report: OHIF keys annotations by it, and two reports of a study must not collide.
        tracking_identifier=TrackingIdentifier(
            identifier="Bone age", uid=derive_uid("tracking", sop_instance_uid)
        ),
        referenced_region=ImageRegion(
            graphic_type="POLYLINE",
            graphic_data=polyline,
            source_image=SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid),
        ),
        finding_type=codes.BONE_AGE,
        finding_sites=[FindingSite(codes.HAND, laterality=laterality)],
        algorithm_id=_algorithm(assessment, device),
        measurements=measurements(assessment),
    )


def _evaluations(assessment: Assessment, earlier: Sequence[str]) -> ContainerContentItem:
    """Section that says by code and in words what the numbers mean.

    It has a section of its own, as validators do not look for it in the measurement group.
    """
    section = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    sentences = (agreement_sentence(assessment), *earlier)
    section.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.DETERMINATION, codes.DETERMINATIONS[assessment.determination], _CONTAINS),
            CodeContentItem(codes.AGREEMENT, codes.AGREEMENTS[assessment.agreement], _CONTAINS),
            *(TextContentItem(codes.COMMENT, sentence, _CONTAINS) for sentence in sentences),
        ]
    )
    return section


def _algorithm(assessment: Assessment, device: DeviceIdentity) -> AlgorithmIdentification:
    """Algorithm that read the hand, with what the reading depends on (TID 4019)."""
    model = assessment.model
    return AlgorithmIdentification(
        name=ALGORITHM_NAME,
        version=device.software_version,
        parameters=[
            f"model={model.name} {model.version}",
            f"weights_sha256={model.sha256}",
            f"sex={_sex(assessment)}",
            f"interval_coverage={assessment.interval_coverage:.2f}",
        ],
    )


def _sex(assessment: Assessment) -> str:
    """The sex that the hand was read as."""
    return str(assessment.sex or "unknown")


def _library_entry(image: SourceImage, rows: int, columns: int) -> Dataset:
    """The little that highdicom's image library reads of an image.

    highdicom describes a projection radiograph by its orientation and spacing and fails without them; as any
    other kind of image it is described by kind and size alone.
    """
    entry = Dataset()
    entry.SOPClassUID = image.sop_class_uid
    entry.SOPInstanceUID = image.sop_instance_uid
    entry.Rows, entry.Columns = rows, columns
    entry.Modality = "OT"
    if image.patient_orientation and image.spacing_mm:
        entry.Modality = "DX"
        entry.PatientOrientation = list(image.patient_orientation)
        entry.ImagerPixelSpacing = list(image.spacing_mm)
    return entry
