"""The rooms of the program are those of docs/how-it-works.md, and imports go down its table alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from support.repository import REPOSITORY

PACKAGE = REPOSITORY / "boneage_node"
LOOSE_MODULES = {"__init__", "__main__", "errors", "logs", "retry", "about"}


def rooms() -> dict[str, set[str]]:
    """What each room may import, from the document, the topmost room first."""
    text = (REPOSITORY / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    _, _, section = text.partition("\n## The rooms\n")
    rows = [line.split("|")[1:-1] for line in section.partition("\n## ")[0].splitlines() if line[:1] == "|"]
    table = {row[0].strip(" `"): row[2] for row in rows[2:]}
    names = list(table)
    return {
        room: set(names[number + 1 :])
        if allowed.strip() == "all below"
        else set(allowed.replace("`", "").replace(",", " ").split())
        for number, (room, allowed) in enumerate(table.items())
    }


def module_name(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imported(module: str, file: Path) -> Iterator[str]:
    """The modules of ours that a module imports, anywhere in it: in functions and for types, too."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else base for name in names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == PACKAGE.name)


def room_of(module: str) -> str:
    """The second part of a module's name; none for the package itself, where the version is."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_is_in_the_table_and_no_new_module_is_loose() -> None:
    loose = {file.stem for file in PACKAGE.glob("*.py")}
    assert loose <= LOOSE_MODULES
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert set(rooms()) == folders | (loose - {"__init__", "__main__"})


def test_the_arrows_of_the_table_go_down() -> None:
    order = list(rooms())
    for room, allowed in rooms().items():
        for other in allowed:
            assert order.index(other) > order.index(room), f"{room} imports {other}, which is above it"


def test_imports_between_rooms_are_those_of_the_table() -> None:
    table = rooms()
    wrong = {
        (room_of(module), room_of(other), module)
        for module, file in modules().items()
        for other in imported(module, file)
        if room_of(module) in table and room_of(other) not in {"", room_of(module)} | table[room_of(module)]
    }
    assert not wrong, "\n".join(f"{module}: {room} must not import {other}" for room, other, module in wrong)


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {module: set(imported(module, file)) - {module} for module, file in modules().items()}
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    assert not graph, f"in circles, or above one: {sorted(graph)}"
