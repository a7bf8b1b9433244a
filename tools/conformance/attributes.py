"""The attributes of the objects that the node makes: which there are, and where their values come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.datadict import dictionary_description, dictionary_keyword
from pydicom.tag import BaseTag, Tag

from boneage_node.report import Kind
from boneage_node.report.identity import Series
from boneage_node.report.source import COPIED, COPIED_SEQUENCES, PICTURED

from .markdown import code, table

_ELSEWHERE = {Tag("ConceptNameCodeSequence"), Tag("ContentTemplateSequence"), Tag("ContentSequence")}
"""Attributes of the content of an SR document; it has tables of its own."""
_LONGEST_VALUE_CHARACTERS = 60

_ORIGINS = {
    "SOPClassUID": "AUTO: by what the object is",
    "SOPInstanceUID": "AUTO: 2.25 UID derived from what was read (A.1)",
    "SeriesInstanceUID": "AUTO: 2.25 UID derived from study, kind of object, and number of the report",
    "InstanceCreationDate": "AUTO: when the object was made, in the time zone of the image",
    "InstanceCreationTime": "AUTO: when the object was made",
    "SeriesDate": "AUTO: when the object was made",
    "SeriesTime": "AUTO: when the object was made",
    "ContentDate": "AUTO: when the object was made",
    "ContentTime": "AUTO: when the object was made",
    "SeriesNumber": "AUTO: "
    + ", ".join(f"{code(Series('', kind, 1).number)} ({kind})" for kind in Kind)
    + "; 10 more with each report of the study",
    "SeriesDescription": "AUTO: "
    + ", ".join(code(Series("", kind, 1).description) for kind in Kind)
    + "; of the second report of a study "
    + code(Series("", Kind.ASSESSMENT, 2).description)
    + " and so on",
    "StationName": "CONFIG: `ae_title`",
    "InstanceNumber": "AUTO: counts the reports of the study",
    "CurrentRequestedProcedureEvidenceSequence": "AUTO: the image that was read, or what was refused",
    "PredecessorDocumentsSequence": "AUTO: the report of the same study before this one",
    "Laterality": "AUTO: side of the hand that was read, `L` or `R`",
    "SourceImageSequence": "AUTO: the image that was read or refused",
    "Rows": "AUTO: height of the picture in pixels",
    "Columns": "AUTO: width of the picture in pixels",
    "PixelData": "AUTO: the picture",
}
"""Of attributes whose values vary and are not copied from the image."""


@dataclass
class _Attribute:
    """Values of one attribute in the examples.

    Attributes:
        values: One for each parent that has it, as text; empty where it has no value.
        items: The items of all its sequences.
    """

    values: list[str] = field(default_factory=list)
    items: list[Dataset] = field(default_factory=list)


Row = tuple[str, ...]


def attribute_tables(objects: dict[str, Sequence[Dataset]]) -> dict[str, str]:
    """A table for each kind of object, and one, named ``all``, of what is the same in all of them.

    Args:
        objects: Examples by kind.

    Raises:
        ValueError: An attribute varies and nothing says where its value comes from, or the other way round.
    """
    blocks = {kind: _blocks(examples, top=True) for kind, examples in objects.items()}
    unused = set(_ORIGINS) - {dictionary_keyword(tag) for rows in blocks.values() for tag in rows}
    if unused:
        raise ValueError(f"{__name__} explains what is in no object: {', '.join(sorted(unused))}")
    first, *others = blocks.values()
    common = [tag for tag, rows in first.items() if all(other.get(tag) == rows for other in others)]
    tables = {"all": _table([row for tag in common for row in first[tag]])}
    for kind, rows in blocks.items():
        tables[kind] = _table([row for tag, block in rows.items() if tag not in common for row in block])
    return tables


def _table(rows: Sequence[Row]) -> str:
    return table(("attribute", "tag", "presence", "value"), rows)


def _blocks(parents: Sequence[Dataset], *, top: bool) -> dict[BaseTag, list[Row]]:
    """The rows of each attribute in data sets of one kind, those of its items among them."""
    found: dict[BaseTag, _Attribute] = {}
    for parent in parents:
        for element in parent:
            if top and element.tag in _ELSEWHERE:
                continue
            attribute = found.setdefault(element.tag, _Attribute())
            if element.VR == "SQ":
                attribute.items += element.value
                attribute.values.append("items" if element.value else "")
            else:
                attribute.values.append(_text(element.value))
    return {tag: _rows(tag, found[tag], len(parents), top=top) for tag in sorted(found)}


def _rows(tag: BaseTag, attribute: _Attribute, parents: int, *, top: bool) -> list[Row]:
    keyword = dictionary_keyword(tag)
    copied = keyword in (*COPIED, *PICTURED, *COPIED_SEQUENCES)
    inner = [] if copied else [row for rows in _blocks(attribute.items, top=False).values() for row in rows]
    row = (dictionary_description(tag), str(tag).upper(), _presence(attribute, parents))
    if not top:
        return [(*row, ""), *(("> " + name, *rest) for name, *rest in inner)]
    origin = "IMAGE" if copied else _origin(keyword, attribute)
    return [(*row, origin), *(("> " + name, *rest) for name, *rest in inner)]


def _presence(attribute: _Attribute, parents: int) -> str:
    """In the terms of PS3.2, Annex A."""
    if not any(attribute.values):
        return "EMPTY"
    if len(attribute.values) < parents:
        return "ANAP"
    return "ALWAYS" if all(attribute.values) else "VNAP"


def _origin(keyword: str, attribute: _Attribute) -> str:
    values = set(attribute.values)
    if keyword in _ORIGINS:
        return _ORIGINS[keyword]
    if len(values) > 1 or attribute.items:
        raise ValueError(f"{keyword} varies: say in {__name__} where its value comes from")
    value = values.pop()
    return code(value) if value else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()[:_LONGEST_VALUE_CHARACTERS]
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return "\\".join(str(each) for each in values)[:_LONGEST_VALUE_CHARACTERS]
