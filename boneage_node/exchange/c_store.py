"""C-STORE to a DICOM station."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable

from .destination import DICOM_FORMS, Destination

if TYPE_CHECKING:
    from pydicom.uid import UID


@dataclass(frozen=True)
class CStore(Destination):
    """A DICOM station that takes objects by C-STORE, with ``/tls`` behind its port over TLS.

    Attributes:
        address: The station.
    """

    address: Station
    forms: ClassVar[frozenset[DocumentForm]] = DICOM_FORMS
    example: ClassVar[str] = (
        "a destination such as PACS@10.0.0.5:104 (AE@host:port) or, over TLS, PACS@10.0.0.5:2762/tls"
    )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read ``AE@host:port`` or ``AE@host:port/tls``."""
        try:
            return cls(Station.parse(text))
        except ValueError:
            return None

    def __str__(self) -> str:
        return str(self.address)

    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        """Send DICOM files over one association while it holds."""
        from boneage_node.dimse.store_scu import send

        return send(self.address, files, caller, decompress=True)

    def probe(self, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
        """Ask by C-ECHO, and negotiate the SOP classes without sending."""
        from boneage_node.dimse.store_scu import echo, refused_classes

        answers = f"answers C-ECHO, after {1000 * echo(self.address, caller):.0f} ms"
        if not sop_classes:
            return answers
        refused = refused_classes(self.address, sop_classes, caller)
        if refused:
            names = ", no ".join(each.name for each in refused)
            raise Unreachable(
                f"{self} answers C-ECHO, but takes no {names}: allow it there for {caller.ae_title}, or such "
                "reports become dead letters."
            )
        return f"{answers}, and takes {', '.join(each.name for each in sop_classes)}"

    @property
    def station(self) -> Station:
        """The station itself."""
        return self.address
