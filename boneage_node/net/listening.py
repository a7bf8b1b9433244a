"""Address and admission rules of a receiver: a section of the settings."""

from __future__ import annotations

import errno
import ipaddress
import socket
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from .addresses import checked_ae_title, is_loopback


def _network(value: str) -> str:
    """Check an IP address or a network in CIDR notation, and drop host bits."""
    try:
        return str(ipaddress.ip_network(value.strip(), strict=False))
    except ValueError:
        raise ValueError(f"'{value}' is not an address or network such as 10.0.0.0/24") from None


AETitle = Annotated[str, AfterValidator(checked_ae_title)]
Network = Annotated[str, AfterValidator(_network)]

_PRIVILEGED_BELOW = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class Listening(BaseModel, frozen=True, extra="forbid"):
    """Where the node listens, and who may send.

    The called AE title is always checked: a study that reaches the wrong station is noticed at the modality,
    at once, instead of being read here.
    """

    ae_title: AETitle = Field(
        "BONEAGE",
        description="AE title of the node, as called and as calling.",
        json_schema_extra={"flag": "--ae-title", "help": "AE title of the node."},
    )
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Anything but loopback needs `allowed_ae_titles` and "
        "`allowed_addresses`, or `open_to_all`.",
        json_schema_extra={"flag": "--host", "help": "Address to listen on."},
    )
    port: int = Field(
        11112,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one and logs it.",
        json_schema_extra={"flag": "--port", "help": "Port to listen on."},
    )
    allowed_ae_titles: tuple[AETitle, ...] = Field(
        (),
        description="Calling AE titles that may send. Empty: any, but only on loopback or `open_to_all`.",
        json_schema_extra={"flag": "--allow-ae", "help": "Calling AE title that may send."},
    )
    allowed_addresses: tuple[Network, ...] = Field(
        (),
        description="Addresses or networks (CIDR) that may send. Empty: any, with the same condition.",
        json_schema_extra={"flag": "--allow-address", "help": "Address or network that may send."},
    )
    open_to_all: bool = Field(
        False,
        description="Listen beyond loopback with no allow-list: whoever reaches the port may send.",
        json_schema_extra={"flag": "--open-to-all", "help": "Listen beyond loopback with no allow-list."},
    )
    max_associations: int = Field(25, ge=1, description="Associations served at once; more are rejected.")
    idle_seconds: float = Field(
        60.0, gt=0, description="An association with nothing said for so long is aborted."
    )

    def unsafe(self) -> str | None:
        """Say why the node must not listen as it is set, or None where it may.

        Whoever may send images makes the node write to its disk and to the PACS. So beyond loopback both
        lists are needed: an AE title alone is no secret, an address alone is shared by many programs.
        """
        if self.open_to_all or (self.allowed_ae_titles and self.allowed_addresses) or is_loopback(self.host):
            return None
        return (
            f"The node would listen on {self.host or 'all addresses'} to whoever reaches it. Set "
            "allowed_ae_titles and allowed_addresses (--allow-ae, --allow-address), or say that this is "
            "meant with open_to_all (--open-to-all)."
        )

    def bind(self) -> socket.socket:
        """Bind a socket to host and port.

        Raises:
            OSError: The address cannot be listened on.
        """
        family, *_, address = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
        return bound

    def problem(self, error: OSError) -> str:
        """Say why host and port cannot be listened on, and how to mend it."""
        return f"{self.host}:{self.port} cannot be listened on: {self._cause(error)}"

    def _cause(self, error: OSError) -> str:
        if isinstance(error, socket.gaierror):
            return f"{error.strerror}. Name an address of this machine with --host."
        match error.errno:
            case errno.EACCES | errno.EPERM:
                return (
                    f"a port below {_first_unprivileged_port()} takes a permission. Give the node "
                    "CAP_NET_BIND_SERVICE (AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit); or "
                    f"allow all programs, sysctl net.ipv4.ip_unprivileged_port_start={self.port}; or choose "
                    "another port with --port."
                )
            case errno.EADDRINUSE:
                return (
                    f"another program listens there (ss -ltnp 'sport = :{self.port}' names it). Stop it, or "
                    "choose another port with --port."
                )
            case errno.EADDRNOTAVAIL:
                return "this machine does not have the address. Name one of its own with --host."
        return f"{error.strerror}. Choose another port with --port."


def _first_unprivileged_port() -> int:
    """The first port that any program may listen on, as Linux is set."""
    try:
        return int(_PRIVILEGED_BELOW.read_text())
    except (OSError, ValueError):
        return 1024
