"""Where to send: a peer's AE title, host and port."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DESTINATION = re.compile(
    r"(?P<ae_title>[\x20-\x3f\x41-\x5b\x5d-\x7e]{1,16})@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]/]+):(?P<port>\d{1,5})"
)


@dataclass(frozen=True)
class Destination:
    """A DICOM station that takes C-STORE.

    Attributes:
        ae_title: The AE title it is called by.
        host: Host name or IP address.
        port: TCP port.
    """

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Destination:
        """Read ``AE@host:port``; an IPv6 address stands in square brackets.

        Raises:
            ValueError: The text is not of that form.
        """
        match = _DESTINATION.fullmatch(text.strip())
        if match is None or not 0 < int(match["port"]) < 2**16 or not match["ae_title"].strip():
            raise ValueError(f"{text!r} is not a destination: write AE@host:port, such as PACS@10.0.0.5:104")
        return cls(match["ae_title"].strip(), match["host"].strip("[]"), int(match["port"]))

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.address}"
