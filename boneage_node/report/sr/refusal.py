"""A refusal as a report: a Basic Text SR that says why no bone age was read."""

from __future__ import annotations

from datetime import datetime

from highdicom.sr import (
    CodeContentItem,
    CompositeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from boneage_node.bone_age import Refusal
from boneage_node.report import codes
from boneage_node.report.identity import DEFAULT_DEVICE, DeviceIdentity, Kind
from boneage_node.report.source import SourceImage
from boneage_node.report.wording import STATEMENT

from .document import Predecessor, context, sr_document

_CONTAINS = RelationshipTypeValues.CONTAINS


def refusal_sr(
    source: Dataset,
    refusal: Refusal,
    *,
    sop_instance_uid: str,
    created_at: datetime,
    device: DeviceIdentity = DEFAULT_DEVICE,
    predecessor: Predecessor | None = None,
) -> Dataset:
    """The text report of a refusal: never a measurement group, which has no graphics here and blanks OHIF.

    Args:
        source: Data set of the object that was refused, as ``pydicom.dcmread`` returned it. Nothing but
            StudyInstanceUID has to be in it.
        refusal: The reason.
        sop_instance_uid: Of the report, from ``report_instance_uid``.
        created_at: When it was refused, with a time zone.
        device: The station that refused it.
        predecessor: The report on the same study that this one follows.

    Returns:
        The report.

    Raises:
        ValueError: The source has no StudyInstanceUID.
    """
    image = SourceImage.of(source)
    # What is invalid in the image must not keep it from having a report.
    with disable_value_validation():
        return sr_document(
            source,
            _content(image, refusal, device),
            kind=Kind.REFUSAL,
            sop_class_uid=BasicTextSRStorage,
            sop_instance_uid=sop_instance_uid,
            device=device,
            created_at=created_at,
            predecessor=predecessor,
        )


def _content(image: SourceImage, refusal: Refusal, device: DeviceIdentity) -> ContentItem:
    """The content tree: context, then the reason in a section of its own, then what else is to be known.

    Viewers run the items of a section together into one line: nothing but the reason is in its.
    """
    root = ContainerContentItem(name=codes.X_RAY_REPORT)
    language, observer = context(device)
    sentence = refusal.sentence.encode("ascii", "replace").decode("ascii")
    reason = _section(
        codes.FINDINGS, TextContentItem(codes.FINDING, f"No bone age was read. {sentence}", _CONTAINS)
    )
    summary = _section(
        codes.SUMMARY,
        TextContentItem(codes.COMMENT, STATEMENT, _CONTAINS),
        TextContentItem(codes.COMMENT, f"Reason code: {refusal.code}", _CONTAINS),
        CodeContentItem(codes.SUMMARY_OF_ANALYSES, codes.FAILED, _CONTAINS),
    )
    if image.can_be_referenced:
        summary.ContentSequence.append(_reference(image))
    root.ContentSequence = ContentSequence([*language, *observer, reason, summary])
    return root


def _section(name: Code, *items: ContentItem) -> ContainerContentItem:
    section = ContainerContentItem(name=name, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section


def _reference(image: SourceImage) -> ContentItem:
    """The refused object, which need not be an image."""
    item = ImageContentItem if image.is_image else CompositeContentItem
    return item(codes.SOURCE, image.sop_class_uid, image.sop_instance_uid, relationship_type=_CONTAINS)
