"""Content of a bone age's structured report: TID 1500 with one group of TID 1410."""

from __future__ import annotations

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
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from boneage_node.bone_age import Assessment
from boneage_node.report import codes
from boneage_node.report.identity import DeviceIdentity, derive_uid
from boneage_node.report.report import Report
from boneage_node.report.source import SourceImage

from .context import context
from .measurements import measurements
from .outline import outline_polyline

ALGORITHM_NAME = "boneage-node"
SR_CLASSES = {"comprehensive": ComprehensiveSRStorage, "comprehensive-3d": Comprehensive3DSRStorage}
"""SOP classes of the report, by the names that the settings have for them."""

_CONTAINS = RelationshipTypeValues.CONTAINS


def assessment_content(report: Report, assessment: Assessment) -> Dataset:
    """The content tree.

    All numbers are in one measurement group that has the outline of the hand: a group without graphics blanks
    the whole report in OHIF.

    Raises:
        ValueError: The source lacks a UID that the report must refer to or is no image, or the outline is no
            outline.
    """
    image, device = _referable(report.image), report.device
    rows, columns = int(report.source.Rows), int(report.source.Columns)
    polyline = outline_polyline(assessment.outline_px, rows, columns)
    language, observer = context(device)
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=[_group(image, assessment, polyline, device, report.sop_instance_uid)],
        title=codes.IMAGING_MEASUREMENT_REPORT,
        language_of_content_item_and_descendants=language,
        referenced_images=[_library_entry(image, rows, columns)],
    )
    root: Dataset = content[0]
    root.ContentSequence.append(_evaluations(assessment, report.sentences))
    return root


def _referable(image: SourceImage) -> SourceImage:
    """The image, which measurements can refer to.

    Raises:
        ValueError: It has not its UIDs, or is no image.
    """
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


def _evaluations(assessment: Assessment, sentences: list[str]) -> ContainerContentItem:
    """Section that says by code and in words what the numbers mean.

    It has a section of its own, as validators do not look for it in the measurement group.
    """
    section = ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    said, *others = sentences
    section.ContentSequence = ContentSequence(
        [
            TextContentItem(codes.CONCLUSION, said, _CONTAINS),
            CodeContentItem(codes.DETERMINATION, codes.DETERMINATIONS[assessment.determination], _CONTAINS),
            CodeContentItem(codes.AGREEMENT, codes.AGREEMENTS[assessment.agreement], _CONTAINS),
            *(TextContentItem(codes.COMMENT, sentence, _CONTAINS) for sentence in others),
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
            f"sex={assessment.sex or 'unknown'}",
            f"interval_coverage={assessment.interval_coverage:.2f}",
        ],
    )


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
