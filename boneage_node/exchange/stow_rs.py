"""STOW-RS to a DICOMweb service."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from boneage_node.net.addresses import parse_base_url
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent

from .destination import DICOM_FORMS, Destination

if TYPE_CHECKING:
    from pydicom.uid import UID


@dataclass(frozen=True)
class StowRs(Destination):
    """A DICOMweb service that takes objects by STOW-RS.

    Attributes:
        base_url: The service, without ``/studies`` and without a slash at its end.
    """

    base_url: str
    forms: ClassVar[frozenset[DocumentForm]] = DICOM_FORMS
    example: ClassVar[str] = "a URL such as https://pacs.example/dicom-web"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the base URL of a DICOMweb service.

        Raises:
            ValueError: It is a URL, and no such base URL.
        """
        url = parse_base_url(text)
        if url is None:
            return None
        if url.endswith("/studies"):
            raise ValueError(f"'{text}' must be the base URL: leave /studies out")
        return cls(url)

    def __str__(self) -> str:
        return self.base_url

    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        """Send DICOM files, each by a request of its own."""
        from boneage_node.dicomweb.stow import send
        from boneage_node.net.http import HttpClient

        return send(HttpClient(self.base_url, caller.waits, caller.tls), files)

    def probe(self, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
        """Ask by QIDO-RS for a study that nobody has, and by STOW-RS without an object."""
        from boneage_node.dicomweb import query, stow
        from boneage_node.net.http import HttpClient

        client = HttpClient(self.base_url, caller.waits.brief, caller.tls)
        answers = f"answers QIDO-RS, after {1000 * query.probe(client):.0f} ms"
        if not sop_classes:
            return answers
        stow.probe(client)
        return f"{answers}, and takes STOW-RS"
