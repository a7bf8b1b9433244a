"""Addresses of peers: DICOM stations and base URLs."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

_STATION = re.compile(
    r"(?P<ae_title>[\x20-\x3f\x41-\x5b\x5d-\x7e]{1,16})@(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]/]+)"
    r":(?P<port>\d{1,5})(?P<tls>/tls)?"
)


def checked_ae_title(value: str) -> str:
    """Check an AE title: 1 to 16 characters of the default repertoire, no backslash (PS3.5, 6.2).

    Raises:
        ValueError: It is none.
    """
    title = value.strip(" ")
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", title):
        raise ValueError("an AE title is 1 to 16 printable ASCII characters without a backslash")
    return title


@dataclass(frozen=True)
class Station:
    """A DICOM station: AE title, host and port, with TLS or without.

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
    def parse(cls, text: str) -> Station:
        """Read ``AE@host:port``, with ``/tls`` behind it for TLS; an IPv6 address stands in square brackets.

        Raises:
            ValueError: The text is not of that form.
        """
        match = _STATION.fullmatch(text.strip())
        port = int(match["port"]) if match else 0
        if not match or not 0 < port < 2**16 or not match["ae_title"].strip() or not _is_host(match["host"]):
            raise ValueError(
                f"{text!r} is not a destination such as PACS@10.0.0.5:104 (AE@host:port) or, "
                "over TLS, PACS@10.0.0.5:2762/tls"
            )
        tls = match["tls"] is not None
        return cls(match["ae_title"].strip(), match["host"].strip("[]"), port, tls)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.address}" + ("/tls" if self.tls else "")


DESTINATION_CHARACTERS_MAX = 300
"""The longest destination that the database has room for."""


def parse_base_url(text: str) -> str | None:
    """Read the base URL of a service, and drop slashes at its end.

    Returns:
        None where the text is no URL.

    Raises:
        ValueError: It is a URL, and no such base URL, or holds what does not belong there.
    """
    if not text.lower().startswith(("http://", "https://")):
        return None
    if "@" in text:
        raise ValueError("a URL must not hold a login or a password: put them into the netrc file")
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and _is_host(parts.hostname or "")
        whole = named and parts.port != 0 and re.fullmatch(r"[\x21-\x7e]+", text)
    except ValueError:
        whole = None
    if not whole or len(text) > DESTINATION_CHARACTERS_MAX:
        raise ValueError(f"'{text}' is not a URL such as https://pacs.example/dicom-web")
    if parts.query or parts.fragment:
        raise ValueError(f"'{text}' must be a base URL, without ? and #")
    return text.rstrip("/")


def _is_host(host: str) -> bool:
    """Whether a resolver takes a host name: no label is empty, or longer than 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether every address that a host name stands for is loopback; a name that does not resolve is not."""
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses)
