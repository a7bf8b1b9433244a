"""Bundles as files in a folder, for whatever takes them from there."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from boneage_node.net.addresses import DESTINATION_CHARACTERS_MAX
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, unreadable

from .destination import FHIR_FORMS, Destination

if TYPE_CHECKING:
    from pydicom.uid import UID


@dataclass(frozen=True)
class FhirFolder(Destination):
    """A folder that Bundles are put into: whole, or not at all, each as ``UUID.json``.

    The UUID is the Bundle's own identifier, which derives from what was read: the same result is the same
    file.

    Attributes:
        folder: Must be there: one that is made up would hide that a disk is not mounted.
    """

    folder: Path
    forms: ClassVar[frozenset[DocumentForm]] = FHIR_FORMS
    example: ClassVar[str] = "an absolute folder such as /var/lib/bone-ages"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the absolute path of a folder."""
        is_folder = Path(text).is_absolute() and len(text) <= DESTINATION_CHARACTERS_MAX
        return cls(Path(text)) if is_folder else None

    def __str__(self) -> str:
        return str(self.folder)

    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        """Put Bundles into the folder."""
        for file in files:
            try:
                with file.open() as opened:
                    content = opened.read()
                name = str(uuid.UUID(str(json.loads(content)["identifier"]["value"])))
            except (OSError, ValueError, LookupError, TypeError) as error:
                yield unreadable(file, error, "a Bundle with an identifier")
                continue
            try:
                _put(self.folder, f"{name}.json", content)
            except OSError as error:
                yield Sent(file, None, self._problem(error))
            else:
                yield Sent(file, None)

    def probe(self, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
        """Ask whether a file can be put into the folder, without making one."""
        try:
            if os.statvfs(f"{self.folder}/.").f_flag & os.ST_RDONLY:  # the dot: a file is no folder
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise Unreachable(self._problem(error)) from error
        return "can be written"

    def _problem(self, error: OSError) -> str:
        mend = "make it, mount it, or give this node's user the right to"
        return f"{self.folder} cannot be written ({error.strerror}): {mend}."


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
