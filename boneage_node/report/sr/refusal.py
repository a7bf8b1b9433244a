"""Content of a refusal's structured report: why no bone age was read."""

from __future__ import annotations

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
from pydicom.sr.coding import Code

from boneage_node.bone_age import Refusal
from boneage_node.report import codes
from boneage_node.report.report import Report
from boneage_node.report.source import SourceImage

from .context import context

_CONTAINS = RelationshipTypeValues.CONTAINS


def refusal_content(report: Report, refusal: Refusal) -> Dataset:
    """The content tree: context, then the reason in a section of its own, then what else is to be known.

    Never a measurement group, which has no graphics here and blanks OHIF.

    Viewers run the items of a section together into one line: nothing but the reason is in its.
    """
    root = ContainerContentItem(name=codes.X_RAY_REPORT)
    image = report.image
    language, observer = context(report.device)
    said, *others = (s.encode("ascii", "replace").decode("ascii") for s in report.sentences)
    reason = _section(codes.FINDINGS, TextContentItem(codes.FINDING, said, _CONTAINS))
    summary = _section(
        codes.SUMMARY,
        *(TextContentItem(codes.COMMENT, sentence, _CONTAINS) for sentence in others),
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
