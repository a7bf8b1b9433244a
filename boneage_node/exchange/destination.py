"""The base of all destinations: places that documents are sent to, each by its protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Self

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent

if TYPE_CHECKING:
    from pydicom.uid import UID

DICOM_FORMS = frozenset({DocumentForm.SR, DocumentForm.PICTURE})
FHIR_FORMS = frozenset({DocumentForm.FHIR})


class Destination(ABC):
    """A place that documents are sent to, by one protocol.

    Each protocol is a frozen dataclass in a file of its own, named in `destinations.PROTOCOLS`. Settings are
    read by every command: libraries of a protocol are imported in `send` and `probe`, not above.

    Attributes:
        forms: The forms of document that it takes.
        example: What the settings call such a destination, to be read after "is not".
    """

    forms: ClassVar[frozenset[DocumentForm]]
    example: ClassVar[str]

    @classmethod
    @abstractmethod
    def parse(cls, text: str) -> Self | None:
        """Read a destination as the settings and the database write it.

        Returns:
            None where the text is of another protocol.

        Raises:
            ValueError: It is of this protocol, and wrong; the sentence says why.
        """

    @abstractmethod
    def __str__(self) -> str:
        """The text that stands for it in the database; `parse` reads it back."""

    @abstractmethod
    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        """Send files in their order.

        Args:
            files: Documents of its forms.
            caller: How the node appears there.

        Yields:
            For each file, as soon as it is known, what became of it.
        """

    @abstractmethod
    def probe(self, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
        """Ask at little cost whether it is there, and whether it takes what will be sent.

        Args:
            caller: How the node appears there.
            sop_classes: The SOP classes of what will be sent; where there are none, only whether it is there.

        Returns:
            What it answered and when, to be read after its name: ``answers C-ECHO, after 12 ms``.

        Raises:
            Unreachable: It is not, does not speak the protocol, or does not take what will be sent.
        """

    @property
    def station(self) -> Station | None:
        """The DICOM station to ask for storage commitment; None where the protocol has none."""
        return None

    @property
    def can_commit(self) -> bool:
        """Whether it can be asked for storage commitment."""
        return self.station is not None
