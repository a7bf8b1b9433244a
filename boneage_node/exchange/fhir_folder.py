"""Bundles as files in a folder, for whatever takes them from there."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, unreadable


def send(folder: Path, files: Iterable[StoredFile]) -> Iterator[Sent]:
    """Put Bundles into a folder: whole, or not at all, each as ``UUID.json``.

    The UUID is the Bundle's own identifier, which derives from what was read: the same result is the same
    file.

    Args:
        folder: Must be there: one that is made up would hide that a disk is not mounted.
        files: Bundles as JSON.

    Yields:
        For each file what became of it.
    """
    for file in files:
        try:
            with file.open() as opened:
                content = opened.read()
            name = str(uuid.UUID(str(json.loads(content)["identifier"]["value"])))
        except (OSError, ValueError, LookupError, TypeError) as error:
            yield unreadable(file, error, "a Bundle with an identifier")
            continue
        try:
            _put(folder, f"{name}.json", content)
        except OSError as error:
            yield Sent(file, None, _problem(folder, error))
        else:
            yield Sent(file, None)


def probe(folder: Path) -> str:
    """Try whether files can be put into a folder.

    Returns:
        That they can, to be read after its name.

    Raises:
        Unreachable: They cannot.
    """
    try:
        probe = folder / ".boneage-node-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Unreachable(_problem(folder, error)) from error
    return "can be written"


def _put(folder: Path, name: str, content: bytes) -> None:
    """Write a file such that others see it whole, and that it outlives a power cut."""
    partial = folder / f".{name}.partial"
    try:
        with partial.open("wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        partial.replace(folder / name)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(folder: Path, error: OSError) -> str:
    mend = "make it, mount it, or give this node's user the right to"
    return f"{folder} cannot be written ({error.strerror}): {mend}."
