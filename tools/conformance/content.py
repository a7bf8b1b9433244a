"""The content trees of the SR documents that the node makes, with their codes and templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset

from .markdown import code, table

_IMAGE = "the image that was read, or what was refused"
_TEXTS = {
    "/Device Observer UID": "2.25 UID derived from the AE title",
    "/Device Observer Name": "the AE title (`ae_title`)",
    "Source/Patient Orientation Row": "of the image",
    "Source/Patient Orientation Column": "of the image",
    "Measurement Group/Tracking Unique Identifier": "2.25 UID derived from that of the report",
    "Skeletal age/Equivalent Meaning of Concept Name": "as whose it was read",
    "Qualitative Evaluations/Conclusion": "the reading in one sentence, to be quoted",
    "Qualitative Evaluations/Comment": "which report is replaced, what to look at, earlier readings, where "
    "there are any; how well the networks agree; that no physician has verified this",
    "Findings/Finding": "that no bone age was read, and why",
    "Summary/Comment": "code of the reason; that no physician has verified this",
}
"""Texts and UIDs that are not constant, by the concept names of parent (none for the root) and item."""


@dataclass
class _Item:
    """A content item as it is in all examples.

    Attributes:
        counts: How often it is in each of its parents that have it.
        items: All of them.
        children: Content items below, by what they are, in order.
    """

    counts: list[int] = field(default_factory=list)
    items: list[Dataset] = field(default_factory=list)
    children: dict[tuple[str, ...], _Item] = field(default_factory=dict)


def content_table(documents: Sequence[Dataset]) -> str:
    """The content tree of documents of one kind.

    Args:
        documents: Examples, the fullest first.
    """
    root = _merged([list(documents)])
    (title,) = {_key(document) for document in documents}
    rows: list[tuple[str, ...]] = [(title[2] + f" ({title[3]})", "", title[1], "", _value(root.items, ""))]
    rows += [row for key, item in root.children.items() for row in _rows(key, item, 1, len(documents), "")]
    return table(("item", "relationship", "type", "how many", "value"), rows)


def _merged(groups: Sequence[Sequence[Dataset]]) -> _Item:
    """One item of several that are of one kind; each group is what one parent has."""
    merged = _Item([len(group) for group in groups], [item for group in groups for item in group])
    order: list[tuple[str, ...]] = []
    families: dict[tuple[str, ...], list[list[Dataset]]] = {}
    for item in merged.items:
        family: dict[tuple[str, ...], list[Dataset]] = {}
        behind = 0
        for child in item.get("ContentSequence") or []:
            key = _key(child)
            if key not in order:
                order.insert(behind, key)
            behind = order.index(key) + 1
            family.setdefault(key, []).append(child)
        for key, children in family.items():
            families.setdefault(key, []).append(children)
    merged.children = {key: _merged(families[key]) for key in order}
    return merged


def _key(item: Dataset) -> tuple[str, ...]:
    """The kind of an item: relationship, value type, concept name."""
    name = item.ConceptNameCodeSequence[0]
    return str(item.get("RelationshipType", "")), str(item.ValueType), str(name.CodeMeaning), _coded(name)


def _rows(key: tuple[str, ...], item: _Item, depth: int, parents: int, parent: str) -> list[tuple[str, ...]]:
    relationship, value_type, meaning, concept = key
    how_many = _range([*item.counts, *([0] if len(item.counts) < parents else [])])
    value = _value(item.items, f"{parent}/{meaning}")
    row = ("> " * depth + f"{meaning} ({concept})", relationship, value_type, how_many, value)
    below = [
        row
        for child, merged in item.children.items()
        for row in _rows(child, merged, depth + 1, len(item.items), meaning)
    ]
    return [row, *below]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {'n' if high > 1 and low == 1 else high}"


def _value(items: Sequence[Dataset], name: str) -> str:
    """The value of such items."""
    value_type = items[0].ValueType
    if value_type == "CODE":
        return _either(_meant(item.ConceptCodeSequence[0]) for item in items)
    if value_type == "NUM":
        units = (item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0] for item in items)
        return "in " + _either(code(unit.CodeValue) + f" ({unit.CodingSchemeDesignator})" for unit in units)
    if value_type == "CONTAINER":
        templates = (template for item in items for template in item.get("ContentTemplateSequence") or [])
        return _either(f"TID {template.TemplateIdentifier}" for template in templates)
    if value_type == "SCOORD":
        return _either(code(item.GraphicType) for item in items)
    if value_type in ("TEXT", "UIDREF"):
        return _text([str(item.get("TextValue") or item.get("UID")) for item in items], name)
    return _IMAGE


def _text(values: Sequence[str], name: str) -> str:
    if name in _TEXTS:
        return _TEXTS[name]
    if len(set(values)) == 1:
        return code(values[0])
    parameters = [parameter for parameter, equals, _ in (value.partition("=") for value in values) if equals]
    if len(parameters) < len(values):
        raise ValueError(f"{name} varies: say in {__name__} what it is")
    return _either(code(f"{parameter}=") + "…" for parameter in parameters)


def _either(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _coded(item: Dataset) -> str:
    return f"{item.CodeValue}, {item.CodingSchemeDesignator}"


def _meant(item: Dataset) -> str:
    return f"{item.CodeMeaning} ({_coded(item)})"
