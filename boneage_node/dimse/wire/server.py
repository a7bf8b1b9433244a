"""The listening side: connections wait here, without a thread, until their association request is complete.

pynetdicom gives two threads to every connection as soon as it is made. Health checks that connect and close,
port scans and half-open connections by the hundred would each hold them. Here one loop reads the requests of
all, decides who may come in (:mod:`.admission`), answers the others, and hands on only what was admitted.
TLS handshakes are made in the same loop, a step whenever something of them has arrived.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationServer, RequestHandler

from boneage_node.logs import class_name, describe_exception, get_logger
from boneage_node.net.listening import Listening
from boneage_node.net.tls import handshake_problem

from .admission import Rejection, admit
from .associations import OpenAssociation, OpenAssociations, contain
from .bounds import MAX_PDU_BYTES, Limits
from .messages import BoundedMessages
from .negotiation import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    HEADER_BYTES,
    TITLES,
    AssociationRequest,
    Malformed,
    calling_ae_title,
)
from .transport import BoundedSocket, SecureConnection

MAX_REQUEST_BYTES = 256 * 2**10
"""128 presentation contexts with thirty transfer syntaxes each come to less."""
MAX_WAITING_CONNECTIONS = 256
"""With so many waiting, a new connection closes the one that has waited longest."""
_TLS_HANDSHAKE = 0x16
"""First byte of a TLS connection (RFC 8446, 5.1)."""
_UNRECOGNISED_PDU, _UNEXPECTED_PDU, _INVALID_VALUE = (
    bytes((ABORT, 0, 0, 0, 0, 4, 0, 0, 2, reason)) for reason in (1, 2, 6)
)
"""A-ABORT of the service provider with its reason (PS3.8 section 9.3.8)."""
_POLL_SECONDS = 0.1

_log = get_logger()


@dataclass(eq=False)
class Waiting:
    """A connection whose association request is not complete yet.

    Attributes:
        connection: Its socket, of TLS once it has begun to speak that.
        address: Where it comes from: IP address, port.
        deadline: When it is closed, on the monotonic clock in seconds.
        secure: Whether its TLS handshake is done.
        request: What has come of the association request.
    """

    connection: socket.socket
    address: Any
    deadline: float
    secure: bool = False
    request: bytearray = field(default_factory=bytearray)


class _AcceptedSocket(BoundedSocket):
    """The socket of an association that a peer has requested.

    Args:
        association: The association that the socket belongs to.
        connection: The connected socket.
        silence_seconds: Longest time in which nothing gets on inside of a PDU.
        request: The request as the peer has sent it.
        read_ahead: The request as pynetdicom is to read it.
    """

    def __init__(
        self,
        association: Association,
        connection: socket.socket,
        silence_seconds: float,
        request: bytes,
        read_ahead: bytes,
    ) -> None:
        super().__init__(association, silence_seconds, MAX_PDU_BYTES, connection=connection)
        self.read_ahead = read_ahead
        self._titles = request[TITLES]

    def send(self, bytestream: bytes) -> None:
        """Send bytes; an acceptance repeats the titles as they came (PS3.8 section 9.3.3)."""
        if bytestream[0] == ASSOCIATE_AC:
            bytestream = bytestream[: TITLES.start] + self._titles + bytestream[TITLES.stop :]
        super().send(bytestream)


class AdmittedRequestHandler(RequestHandler):
    """Makes an association, with bounds, of a connection whose request was admitted."""

    server: Server

    def _create_association(self) -> Association:
        association = super()._create_association()
        server = self.server
        # The stock socket has announced the connection (Evt5); the one that takes its place does so again.
        association.dul.event_queue.get_nowait()
        association.dul.socket = connection = _AcceptedSocket(
            association,
            self.request,
            server.listening.idle_seconds,
            server.admitted_bytes,
            server.admitted.encode(),
        )
        association.dul.daemon = True
        association.dimse = messages = BoundedMessages(association, server.limits)
        for thread in (association, association.dul):
            contain(thread, connection)
        server.open_associations[association] = OpenAssociation(
            next(server.numbers),
            association,
            server.admitted.calling_ae_title,
            self.client_address[0],
            messages,
            connection,
            self.request.close,
        )
        return association


class Server(AssociationServer):
    """A pynetdicom association server with a waiting room.

    Args:
        ae: The node's application entity.
        listener: The socket to listen on, bound already; closed on shutdown.
        listening: Names and addresses to admit.
        limits: The bounds of the receiver.
        tls: Context of TLS, which then alone is spoken; None for no TLS.
        contexts: The presentation contexts that are accepted.
        handlers: pynetdicom's event handlers.
        open_associations: Filled with the running associations.

    Attributes:
        admitted: The request of the association that is being made.
        admitted_bytes: The same as it came.
    """

    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        listener: socket.socket,
        listening: Listening,
        limits: Limits,
        tls: ssl.SSLContext | None,
        contexts: list[PresentationContext],
        handlers: list[evt.EventHandlerType],
        open_associations: OpenAssociations,
    ) -> None:
        self._listener = listener
        self.listening = listening
        self.limits = limits
        self.tls = tls
        self.open_associations = open_associations
        self.numbers = count(1)
        self.admitted: AssociationRequest
        self.admitted_bytes = b""
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._stopped = threading.Event()
        self._waiting: dict[Waiting, None] = {}  # in their order of arrival
        if tls is not None:
            tls.sslsocket_class = SecureConnection
        super().__init__(
            ae,
            listener.getsockname()[:2],
            listening.ae_title,
            contexts,
            evt_handlers=handlers,
            request_handler=AdmittedRequestHandler,
        )

    def server_bind(self) -> None:
        """Listen on the socket that is bound already, not on the one that pynetdicom has made."""
        assert self.socket is not None, "made with the server"
        self.socket.close()
        self.socket = self._listener
        self.server_address = self._listener.getsockname()

    def server_close(self) -> None:
        """Close this handle of the socket, which other processes may have too, without shutting it down."""
        self._listener.close()

    def serve_forever(self, poll_interval: float = _POLL_SECONDS) -> None:
        """Accept connections until :meth:`shutdown` is called."""
        try:
            with self._selector:
                self._listener.setblocking(False)
                self._selector.register(self._listener, selectors.EVENT_READ)
                while not self._stopping:
                    for key, _ in self._selector.select(poll_interval):
                        if key.fileobj is self._listener:
                            self._accept()
                        else:
                            self._attend_safely(key.data)
                    self._close_overdue()
                    self.reap()
                for waiting in list(self._waiting):
                    self._dismiss(waiting)
        finally:
            self._stopped.set()

    def shutdown(self) -> None:
        """Stop listening. Running associations go on."""
        self._stopping = True
        self._stopped.wait()
        self.server_close()

    def _accept(self) -> None:
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            _log.warning("accept failed", error=class_name(error), errno=error.errno)
            time.sleep(0.05)  # out of file descriptors: the connection is still there to be accepted
            return
        if len(self._waiting) >= MAX_WAITING_CONNECTIONS:
            self._dismiss(next(iter(self._waiting)))
        connection.setblocking(False)
        deadline = time.monotonic() + self.limits.request_timeout_seconds
        waiting = Waiting(connection, address, deadline)
        self._waiting[waiting] = None
        self._selector.register(connection, selectors.EVENT_READ, waiting)

    def _attend_safely(self, waiting: Waiting) -> None:
        """Go on with a connection; nothing that a peer sends may end this loop."""
        try:
            self._attend(waiting)
        except Exception as error:
            _log.error("connection failed", address=waiting.address[0], error=describe_exception(error))
            if waiting in self._waiting:
                self._dismiss(waiting)
            else:
                waiting.connection.close()

    def _attend(self, waiting: Waiting) -> None:
        """Go on with a connection as far as what has come of it goes."""
        if waiting not in self._waiting:  # pushed out by one that was accepted a moment ago
            return
        if self.tls is not None and not waiting.secure:
            self._shake_hands(waiting, self.tls)
            if not waiting.secure:
                return
        # The rest of a TLS record is inside the connection, where the selector does not see it.
        while waiting in self._waiting and self._read_request(waiting):
            pass

    def _shake_hands(self, waiting: Waiting, context: ssl.SSLContext) -> None:
        """Make the next step of a TLS handshake; what is not TLS costs but a look at its first byte."""
        try:
            if not isinstance(waiting.connection, ssl.SSLSocket):
                first = waiting.connection.recv(1, socket.MSG_PEEK)
                if first != bytes([_TLS_HANDSHAKE]):
                    if first:
                        what = "DICOM without TLS" if first == bytes([ASSOCIATE_RQ]) else "something else"
                        _log.warning("not TLS", address=waiting.address[0], received=what)
                    self._dismiss(waiting, _UNRECOGNISED_PDU)
                    return
                # It has the same file descriptor, by which the selector knows it.
                waiting.connection = context.wrap_socket(
                    waiting.connection, server_side=True, do_handshake_on_connect=False
                )
            waiting.connection.do_handshake()
            self._selector.modify(waiting.connection, selectors.EVENT_READ, waiting)
            waiting.secure = True
        except ssl.SSLWantReadError:
            self._selector.modify(waiting.connection, selectors.EVENT_READ, waiting)
        except ssl.SSLWantWriteError:
            self._selector.modify(waiting.connection, selectors.EVENT_WRITE, waiting)
        except OSError as error:
            _log.warning("TLS handshake failed", address=waiting.address[0], problem=handshake_problem(error))
            self._dismiss(waiting)

    def _read_request(self, waiting: Waiting) -> bool:
        """Read on, but nothing behind the request; admit or reject once it is complete.

        Returns:
            Whether there may be more to read now.
        """
        request = waiting.request
        missing = HEADER_BYTES - len(request)
        if missing <= 0:
            missing = _length_of(request) - len(request)
        try:
            data = waiting.connection.recv(missing)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            data = b""
        request += data
        if not data:
            self._dismiss(waiting)
        elif len(request) >= HEADER_BYTES:
            if request[0] != ASSOCIATE_RQ or _length_of(request) > MAX_REQUEST_BYTES:
                tls = self.tls is None and request[0] == _TLS_HANDSHAKE
                what = "TLS, which this port does not speak" if tls else "something else"
                _log.warning("not an association request", address=waiting.address[0], received=what)
                known = ASSOCIATE_RQ <= request[0] <= ABORT
                self._dismiss(waiting, _UNEXPECTED_PDU if known else _UNRECOGNISED_PDU)
            elif len(request) == _length_of(request):
                self._decide(waiting)
        return True

    def _decide(self, waiting: Waiting) -> None:
        received, address = bytes(waiting.request), waiting.address[0]
        try:
            request = AssociationRequest.parse(received)
        except Malformed as error:
            _log.warning(
                "association request malformed",
                address=address,
                calling_ae_title=calling_ae_title(received),
                field=str(error),
            )
            self._dismiss(waiting, _INVALID_VALUE)
            return
        self.reap()
        served = self.open_associations.served(self.listening.max_associations)
        rejection = admit(self.listening, request, address, served)
        if rejection is not None:
            _log_rejection(rejection, request, address)
            self._dismiss(waiting, rejection.to_pdu())
            return
        self._selector.unregister(waiting.connection)
        del self._waiting[waiting]
        waiting.connection.setblocking(True)
        self.admitted, self.admitted_bytes = request, received
        try:
            self.process_request(waiting.connection, waiting.address)
        except RuntimeError as error:  # no thread to be had: the association is reaped without having run
            _log.error("association not started", reason=str(error))

    def _dismiss(self, waiting: Waiting, answer: bytes = b"") -> None:
        self._selector.unregister(waiting.connection)
        del self._waiting[waiting]
        with suppress(OSError):  # the peer may be gone already
            if answer:
                waiting.connection.send(answer)
            waiting.connection.shutdown(socket.SHUT_RDWR)
        waiting.connection.close()

    def _close_overdue(self) -> None:
        now = time.monotonic()
        for waiting in [waiting for waiting in self._waiting if waiting.deadline < now]:
            _log.info("no association request in time", address=waiting.address[0])
            self._dismiss(waiting)

    def reap(self) -> None:
        """End associations that do not move, and forget those that have ended, however they did."""
        self.open_associations.reap(self.listening.idle_seconds)


def _length_of(pdu: bytearray) -> int:
    """Length of a whole PDU in bytes, from its first six."""
    length: int = struct.unpack_from(">L", pdu, 2)[0]
    return HEADER_BYTES + length


def _log_rejection(rejection: Rejection, request: AssociationRequest, address: str) -> None:
    received = rejection.received(request)
    _log.warning(
        "association rejected",
        reason=rejection.name.lower(),
        address=address,
        calling_ae_title=request.calling_ae_title,
        called_ae_title=request.called_ae_title,
        **({} if received is None else {"received": received}),
    )
