"""Where to send: a peer's AE title, host and port, with TLS or without."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DESTINATION = re.compile(
    r"(?P<ae_title>[\x20-\x3f\x41-\x5b\x5d-\x7e]{1,16})@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]/]+)"
    r":(?P<port>\d{1,5})(?P<tls>/tls)?"
)


@dataclass(frozen=True)
class Destination:
    """A DICOM station that takes C-STORE.

    Attributes:
        ae_title: The AE title it is called by.
        host: Host name or IP address.
        port: TCP port.
        tls: Connect with TLS.
    """

    ae_title: str
    host: str
    port: int
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``AE@host:port``, with ``/tls`` behind it for TLS; an IPv6 address stands in square brackets.

        Raises:
            ValueError: The text is not of that form.
        """
        match = _DESTINATION.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"]) < 2**16 or not match["ae_title"].strip():
            raise ValueError(
                f"{text!r} is not a destination such as PACS@10.0.0.5:104 (AE@host:port) or, "
                "over TLS, PACS@10.0.0.5:2762/tls"
            )
        tls = match["tls"] is not None
        return cls(match["ae_title"].strip(), match["host"].strip("[]"), int(match["port"]), tls)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.address}" + ("/tls" if self.tls else "")
