"""The identity with which the node opens connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from .tls import TlsFiles


@dataclass(frozen=True)
class Caller:
    """The calling side of a connection, DICOM or HTTP.

    Attributes:
        ae_title: Calling AE title.
        tls: The certificates to show and to verify peers with.
    """

    ae_title: str
    tls: TlsFiles = field(default_factory=TlsFiles)
