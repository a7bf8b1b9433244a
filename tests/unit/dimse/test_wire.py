"""What depends on the inside of pynetdicom is in dimse/wire alone: an update can break it there only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import boneage_node

PACKAGE = Path(boneage_node.__file__).parent
PUBLIC = (
    "pynetdicom",
    "pynetdicom.association",
    "pynetdicom.dimse_primitives",  # of which `Event.request` is one
    "pynetdicom.events",
    "pynetdicom.presentation",
    "pynetdicom.sop_class",
)
OUTSIDE = [path for path in PACKAGE.rglob("*.py") if "wire" not in path.relative_to(PACKAGE).parts]
ROOMS = [path for path in OUTSIDE if path.parent.name in ("dimse", "replay")]


def inner_imports(file: Path) -> Iterator[str]:
    """Modules of pynetdicom that are none of its public ones, and private names, as a file imports them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("pynetdicom")]
            yield from (name for name in names if name not in PUBLIC)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynetdicom"):
            for alias in node.names:
                if node.module not in PUBLIC or alias.name.startswith("_"):
                    yield f"{node.module}.{alias.name}"


def inner_attributes(file: Path) -> Iterator[str]:
    """Private attributes of anything but the file's own objects."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own:
                yield node.attr


def test_the_inside_is_recognised() -> None:
    messages = PACKAGE / "dimse" / "wire" / "messages.py"
    assert "pynetdicom.dimse.DIMSEServiceProvider" in list(inner_imports(messages))
    assert "_accepted_cx" in list(inner_attributes(messages))
    assert PACKAGE / "dimse" / "store_scp.py" in ROOMS


@pytest.mark.parametrize("file", OUTSIDE, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_outside_of_wire_nothing_imports_the_inside_of_pynetdicom(file: Path) -> None:
    assert list(inner_imports(file)) == []


@pytest.mark.parametrize("file", ROOMS, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_outside_of_wire_nothing_reads_private_attributes(file: Path) -> None:
    assert list(inner_attributes(file)) == []
