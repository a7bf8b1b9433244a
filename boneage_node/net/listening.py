"""How a receiver listens and whom it lets in."""

from __future__ import annotations

from dataclasses import dataclass
from ssl import SSLContext

from .addresses import is_loopback


class UnsafeSettingsError(ValueError):
    """The receiver would listen to machines that nobody allowed to send."""


@dataclass(frozen=True)
class ReceiverSettings:
    """How the receiver listens and whom it lets in.

    Attributes:
        ae_title: The node's AE title.
        host: Address to listen on.
        port: TCP port; 0 takes a free one.
        quiet_seconds: A study settles when nothing of it has come for so long.
        allowed_ae_titles: Calling AE titles that may open an association; empty allows all.
        allowed_addresses: Addresses or networks (CIDR) that may; empty allows all.
        open_to_all: Listen beyond loopback without an allow-list.
        require_called_ae_title: Reject callers that address another AE title than ``ae_title``. On by
            default: a study that reaches the wrong station is noticed at the modality, at once, instead of
            being read here.
        max_associations: Associations at one time, besides a few more that may only C-ECHO.
        idle_timeout_seconds: An association, or one PDU on its way, that makes no progress for so long is
            aborted.
        request_timeout_seconds: A connection that has sent no complete association request by then is closed.
        max_instance_bytes: Data sets larger than this are refused.
        tls: Speak TLS, and nothing else, in this manner; None for no TLS.
        reserve_bytes: Space on the incoming folder's file system below which nothing is taken in.
    """

    ae_title: str = "BONEAGE"
    host: str = "127.0.0.1"
    port: int = 11112
    quiet_seconds: float = 10.0
    allowed_ae_titles: tuple[str, ...] = ()
    allowed_addresses: tuple[str, ...] = ()
    open_to_all: bool = False
    require_called_ae_title: bool = True
    max_associations: int = 32
    idle_timeout_seconds: float = 60.0
    request_timeout_seconds: float = 15.0
    max_instance_bytes: int = 512 * 2**20
    reserve_bytes: int = 512 * 2**20
    tls: SSLContext | None = None

    def check(self) -> None:
        """Raise where these settings would let in callers that nobody named.

        Raises:
            UnsafeSettingsError: Listening beyond loopback without an allow-list of both AE titles and
            addresses: an AE
                title alone is whatever the caller says it is.
        """
        if self.open_to_all or is_loopback(self.host) or (self.allowed_ae_titles and self.allowed_addresses):
            return
        raise UnsafeSettingsError(
            f"Listening on {self.host or 'all addresses'} would take images from any machine on the network. "
            "Name the calling AE titles and the addresses that may send, or listen on 127.0.0.1, "
            "or say explicitly that the node is open to all."
        )
