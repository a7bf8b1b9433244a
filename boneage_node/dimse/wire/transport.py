"""Sockets that TLS needs to be read and closed in a manner of its own, for callers and for the called."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from pynetdicom.transport import AssociationSocket

_SOME_BYTES = 6
"""The header of a PDU; any number would do."""


class SecureConnection(ssl.SSLSocket):
    """A TLS connection that says goodbye (close_notify) before it is shut down: peers log it otherwise.

    Made by contexts whose ``sslsocket_class`` it is.
    """

    def shutdown(self, how: int) -> None:
        """Tell the peer that nothing more comes, do not wait for its answer, shut the connection down."""
        with suppress(OSError, ValueError):  # no handshake was made, or the peer is gone
            self.settimeout(0)
            self.unwrap()
        super().shutdown(how)


class ReadAheadSocket(AssociationSocket):
    """A socket of an association that is ready only where a read would give a byte of the peer's message.

    Of a TLS connection, `select` knows too little: what is readable may be a part of a record, or a message
    of TLS itself, and a read would wait for the rest while nothing could be sent.

    Attributes:
        read_ahead: Bytes that were read already.
    """

    read_ahead: bytes = b""

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the peer has closed the connection."""
        if self.read_ahead:
            return True
        if not super().ready:
            return False
        return self._reads(self.socket) if isinstance(self.socket, ssl.SSLSocket) else True

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes; fewer where the peer has closed the connection."""
        taken = self.take(nr_bytes)
        return taken + super().recv(nr_bytes - len(taken))

    def take(self, nr_bytes: int) -> bytearray:
        """At most so many of the bytes that were read already."""
        taken, self.read_ahead = self.read_ahead[:nr_bytes], self.read_ahead[nr_bytes:]
        return bytearray(taken)

    def _reads(self, connection: socket.socket) -> bool:
        timeout_seconds = connection.gettimeout()
        try:
            connection.settimeout(0)
            self.read_ahead = connection.recv(_SOME_BYTES)
            connection.settimeout(timeout_seconds)
        except ssl.SSLWantReadError:
            connection.settimeout(timeout_seconds)
            return False
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed
            return False
        return True
