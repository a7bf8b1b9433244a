"""The structured report of a reading as an SR document (PS3.3 A.35)."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import BasicTextSRStorage

from boneage_node.bone_age import Refusal
from boneage_node.report.document import new_document
from boneage_node.report.identity import Kind, Series
from boneage_node.report.report import Report

from .assessment import assessment_content
from .refusal import refusal_content


def structured_report(report: Report) -> Dataset:
    """The SR document of a report: Comprehensive SR of an assessment, Basic Text SR of a refusal.

    It is complete and preliminary: its content is all there is, and nobody has verified it.

    Raises:
        ValueError: The source has no StudyInstanceUID. Of an assessment also: it lacks a UID that the report
            must refer to or is no image, or the outline is no outline.
    """
    # What is invalid in the image must not keep it from having a report.
    with disable_value_validation():
        if isinstance(report.answer, Refusal):
            content = refusal_content(report, report.answer)
            kind, sop_class_uid = Kind.REFUSAL, str(BasicTextSRStorage)
        else:
            content = assessment_content(report, report.answer)
            kind, sop_class_uid = Kind.ASSESSMENT, report.sop_class_uid
        document = new_document(report, kind, "SR", sop_class_uid, report.sop_instance_uid)
        _separate(content)
        for element in content:
            if element.keyword != "RelationshipType":  # the root has no parent to relate to
                document.add(element)
        document.ReferencedPerformedProcedureStepSequence = []
        document.CompletionFlag = "COMPLETE"
        document.VerificationFlag = "UNVERIFIED"
        document.PreliminaryFlag = "PRELIMINARY"
        document.PerformedProcedureCodeSequence = []
        _add_references(document, report)
    return document


def _separate(item: Dataset) -> None:
    """Mark all containers as lists of named items: in running text, viewers leave the names out."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)


def _add_references(document: Dataset, report: Report) -> None:
    """The image as evidence, and the report that this one follows."""
    image, predecessor = report.image, report.predecessor
    study_instance_uid = image.study_instance_uid
    if image.can_be_referenced:
        document.CurrentRequestedProcedureEvidenceSequence = [
            _reference(
                study_instance_uid, image.series_instance_uid, image.sop_class_uid, image.sop_instance_uid
            )
        ]
    if predecessor is not None:
        series_instance_uid = Series(study_instance_uid, predecessor.kind, predecessor.number).uid
        document.PredecessorDocumentsSequence = [
            _reference(
                study_instance_uid,
                series_instance_uid,
                predecessor.sop_class_uid,
                predecessor.sop_instance_uid,
            )
        ]


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
