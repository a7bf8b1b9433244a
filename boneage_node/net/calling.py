"""The identity with which the node opens connections, and how long it waits on them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from .tls import TlsFiles


class Waits(BaseModel, frozen=True, extra="forbid"):
    """How long the node waits for others on the connections that it opens.

    Long by default: an answer that comes too late is taken for none, and what was sent is sent again.
    """

    connect_seconds: float = Field(
        30.0,
        gt=0,
        description="Longest wait for a connection, TLS and the acceptance of an association; and for what "
        "`doctor` and `echo` ask, which costs the other side nothing.",
    )
    answer_seconds: float = Field(
        300.0,
        gt=0,
        description="Longest wait for each answer to what is sent or asked: C-STORE, STOW-RS, FHIR, storage "
        "commitment, C-FIND, QIDO-RS. An archive that writes to slow media may take more than a minute.",
    )
    retrieve_seconds: float = Field(
        600.0,
        gt=0,
        description="Longest silence while `fetch` retrieves (C-MOVE, WADO-RS): some archives fetch a study "
        "from tape first.",
    )

    @property
    def brief(self) -> Waits:
        """The same, for questions that cost the other side nothing."""
        return self.model_copy(update={"answer_seconds": self.connect_seconds})

    @property
    def retrieving(self) -> Waits:
        """The same, for answers that may have to be fetched from afar first."""
        return self.model_copy(update={"answer_seconds": self.retrieve_seconds})


@dataclass(frozen=True)
class Caller:
    """The calling side of a connection, DICOM or HTTP.

    Attributes:
        ae_title: Calling AE title.
        tls: The certificates to show and to verify peers with.
        waits: How long to wait for peers.
    """

    ae_title: str
    tls: TlsFiles = field(default_factory=TlsFiles)
    waits: Waits = field(default_factory=Waits)
