"""Inputs of the files of a run: written beside them, and checked before they are used again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from boneage_node.datasets.rsna import DataError

if TYPE_CHECKING:
    from .recipe import Recipe

Network = TypeVar("Network", bound=nn.Module)
GivenRecipe = TypeVar("GivenRecipe", bound="Recipe")

_MADE = "made"
_MADE_FILE = "made.json"
_PARTIAL = "partial-"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give a path to write to, which replaces ``file`` once all is written; else ``file`` stays as it was."""
    partial_file = file.with_name(f"{_PARTIAL}{file.name}")
    yield partial_file
    partial_file.replace(file)


def begin_folder(folder: Path, inputs: Mapping[str, Any]) -> None:
    """Begin a folder for files that are made of ``inputs``, or go on with one that was begun with the same.

    Args:
        folder: Is created where it is not there.
        inputs: Whatever those files depend on, by the words in which an error names it.

    Raises:
        DataError: Where the folder was begun with something else, or it is not known with what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _MADE_FILE
    if file.is_file():
        _refuse_other(folder, json.loads(file.read_text()), inputs, folder)
        return
    if any(not one.name.startswith(_PARTIAL) for one in folder.iterdir()):
        raise DataError(
            f"{folder} holds files, but no {_MADE_FILE} that tells what they were made of. "
            f"Give another --out, or delete {folder} and what was trained on it"
        )
    with replacing(file) as partial_file:
        partial_file.write_text(json.dumps(inputs, indent=1) + "\n")


def save_network(network: nn.Module, file: Path, inputs: Mapping[str, Any]) -> None:
    """Write a network's tensors (safetensors) with what they were made of: recipe, data, earlier networks."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(file) as partial_file:
        save_file(tensors, partial_file, metadata={_MADE: json.dumps(inputs)})


def load_network(network: Network, file: Path, inputs: Mapping[str, Any]) -> Network:
    """The network with the tensors of a file, in evaluation mode on the CPU.

    Raises:
        DataError: Where the file was made of something else than ``inputs``.
    """
    _refuse_other(file, _inputs_of(file), inputs, file.parent)
    network.load_state_dict(load_file(file))
    return network.cpu().eval()


def recipe_of(file: Path, otherwise: GivenRecipe) -> GivenRecipe:
    """The recipe by which the network of a file was trained; ``otherwise`` where there is no file."""
    if not file.is_file():
        return otherwise
    found: dict[str, Any] = _inputs_of(file).get("recipe", {})
    given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in found.items()}
    return replace(otherwise, **given)


def digest(network: nn.Module) -> str:
    """Digest (sha256, hex) of a network's tensors."""
    total = hashlib.sha256()
    for tensor in network.state_dict().values():
        total.update(tensor.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _inputs_of(file: Path) -> dict[str, Any]:
    with safe_open(file, "pt") as opened:
        inputs: dict[str, Any] = json.loads((opened.metadata() or {}).get(_MADE, "{}"))
    return inputs


def _refuse_other(what: Path, found: dict[str, Any], inputs: Mapping[str, Any], folder: Path) -> None:
    asked = json.loads(json.dumps(inputs))
    changed = [name for name in {**asked, **found} if found.get(name) != asked.get(name)]
    if changed:
        raise DataError(
            f"{what} was made before these changed: {', '.join(changed)}. "
            f"Give another --out, or delete {folder} and what was trained on it"
        )
