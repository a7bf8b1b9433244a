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
from boneage_node.report.identity import DeviceIdentity
from boneage_node.report.source import SourceImage
from boneage_node.report.wording import STATEMENT

from .context import context

_CONTAINS = RelationshipTypeValues.CONTAINS


def refusal_content(image: SourceImage, refusal: Refusal, device: DeviceIdentity) -> Dataset:
    """The content tree: context, then the reason in a section of its own, then what else is to be known.

    Never a measurement group, which has no graphics here and blanks OHIF.

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
