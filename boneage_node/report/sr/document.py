"""SR documents (PS3.3 A.35): their header, and the context that their content has in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from highdicom.sr import (
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
)
from pydicom import Dataset

from boneage_node.report import codes
from boneage_node.report.document import new_document
from boneage_node.report.identity import DeviceIdentity, Kind, report_series_uid
from boneage_node.report.source import SourceImage


@dataclass(frozen=True)
class Predecessor:
    """The structured report of the same study that a new one follows.

    Attributes:
        sop_class_uid: Its SOP class.
        sop_instance_uid: Its SOP instance.
        kind: Which series it is in.
        number: How many there are already.
    """

    sop_class_uid: str
    sop_instance_uid: str
    kind: Kind
    number: int


def sr_document(
    source: Dataset,
    content: Dataset,
    *,
    kind: Kind,
    sop_class_uid: str,
    sop_instance_uid: str,
    device: DeviceIdentity,
    created_at: datetime,
    predecessor: Predecessor | None = None,
) -> Dataset:
    """An SR document in the study of the image it speaks of.

    Args:
        source: The image's data set.
        content: Root container of the content tree.
        kind: Chooses the series.
        sop_class_uid: SOP class of the document.
        sop_instance_uid: SOPInstanceUID of the document.
        device: The station that makes it.
        created_at: When it was made, with a time zone.
        predecessor: The report on the same study that this one follows.

    Returns:
        The document, complete and preliminary: its content is all there is, and nobody has verified it.
    """
    image = SourceImage.of(source)
    report = new_document(
        source,
        kind=kind,
        modality="SR",
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        device=device,
        created_at=created_at,
        number=predecessor.number + 1 if predecessor else 1,
    )
    for element in content:
        if element.keyword != "RelationshipType":  # the root has no parent to relate to
            report.add(element)
    report.ReferencedPerformedProcedureStepSequence = []
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "PRELIMINARY"
    report.PerformedProcedureCodeSequence = []
    study_instance_uid = image.study_instance_uid
    if image.can_be_referenced:
        report.CurrentRequestedProcedureEvidenceSequence = [
            _reference(
                study_instance_uid, image.series_instance_uid, image.sop_class_uid, image.sop_instance_uid
            )
        ]
    if predecessor is not None:
        series_instance_uid = report_series_uid(study_instance_uid, predecessor.kind)
        report.PredecessorDocumentsSequence = [
            _reference(
                study_instance_uid,
                series_instance_uid,
                predecessor.sop_class_uid,
                predecessor.sop_instance_uid,
            )
        ]
    return report


def context(device: DeviceIdentity) -> tuple[LanguageOfContentItemAndDescendants, ObserverContext]:
    """Language of a document and the device that observed (TID 1204, TID 1002, TID 1004)."""
    observer = DeviceObserverIdentifyingAttributes(
        uid=device.uid,
        name=device.name,
        manufacturer_name=device.manufacturer,
        model_name=device.model_name,
    )
    return LanguageOfContentItemAndDescendants(CodedConcept.from_code(codes.ENGLISH)), ObserverContext(
        codes.DEVICE, observer
    )


def _reference(
    study_instance_uid: str, series_instance_uid: str, sop_class_uid: str, sop_instance_uid: str
) -> Dataset:
    """Item of a sequence that names an instance by study and series (PS3.3, 17.2.1)."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = sop_class_uid
    instance.ReferencedSOPInstanceUID = sop_instance_uid
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series.ReferencedSOPSequence = [instance]
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = [series]
    return study
