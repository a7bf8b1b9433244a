"""Opening an association as its requestor, or saying in a sentence why that failed and what mends it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from boneage_node.about import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from boneage_node.errors import BoneAgeError
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller, Waits
from boneage_node.net.problems import tls_problem
from boneage_node.net.tls import calling_context
from boneage_node.traffic.outcome import Unreachable

from .associations import contain
from .negotiation import ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, Malformed, clean_answer
from .requestor import Responses
from .toolkit import configure_pynetdicom
from .transport import BoundedSocket, SecureConnection

MAX_RECEIVED_PDU_BYTES = 128 * 2**10
"""Longest PDU that is taken of a peer: some times what the node announces, for those that do not look."""
_ACCEPTED = 0


class _Watched(socket.socket):
    """A socket that remembers why it could not connect, and what TLS said later; pynetdicom does not tell.

    Of TLS 1.3 a caller learns only when it reads that the peer does not accept its certificate.

    Attributes:
        problem: What went wrong.
        of_tls: Whether that went wrong in TLS, the connection beneath it being there.
        patience_seconds: The longest wait for the peer.
    """

    problem: OSError | None = None
    of_tls = False
    patience_seconds: float | None = None

    def connect(self, address: Any) -> None:
        try:
            super().connect(address)
        except OSError as error:
            self.problem = error
            raise

    def recv(self, *args: Any) -> bytes:
        with self._remembering():
            return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        with self._remembering():
            return super().recv_into(*args)

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            self.problem = error
            raise

    def settimeout(self, value: float | None) -> None:
        """Wait for so many seconds; where pynetdicom would wait for ever, as long as for an answer."""
        super().settimeout(self.patience_seconds if value is None else value)


class _SecureConnection(_Watched, SecureConnection):
    """The same, of TLS; connecting includes the handshake."""

    def do_handshake(self, block: bool = False) -> None:
        self.of_tls = True
        super().do_handshake(block)


class _CallingSocket(BoundedSocket):
    """The socket of an association that the node has requested; the answer is read leniently.

    Attributes:
        malformed: The field of the answer that has no meaning; None where there is none.
    """

    malformed: str | None = None

    def is_rewritten(self, kind: int) -> bool:
        """Whether a PDU of this type goes through :meth:`rewrite`."""
        return kind in (ASSOCIATE_AC, ASSOCIATE_RJ, ABORT)

    def rewrite(self, pdu: bytes) -> bytes:
        """What pynetdicom gets to see of a PDU that no data goes in.

        Raises:
            OSError: It has no meaning.
        """
        proposed = {
            context.context_id: frozenset(map(str, context.transfer_syntax))
            for context in self.assoc.requestor.requested_contexts
            if context.context_id is not None
        }
        try:
            return clean_answer(pdu, proposed)
        except Malformed as error:
            self.malformed = str(error)
            raise OSError from error


class _Requestor(AE):
    """An application entity that makes its connection itself, and keeps it.

    pynetdicom leaves one open that never connected, and would read from one with TLS at the wrong time.
    """

    def __init__(self, ae_title: str, waits: Waits, tls: tuple[ssl.SSLContext, str] | None) -> None:
        super().__init__(ae_title=ae_title)
        self.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.connection_timeout = self.acse_timeout = waits.connect_seconds
        self.dimse_timeout = waits.answer_seconds
        self.network_timeout = None  # whoever has it open knows how long
        self.connection: _Watched | None = None
        self.calling_socket: _CallingSocket | None = None
        self._answer_seconds = waits.answer_seconds
        self._tls = tls

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        created = _CallingSocket(assoc, self._answer_seconds, MAX_RECEIVED_PDU_BYTES, address=address)
        assoc.dimse = Responses(assoc)
        for thread in (assoc, assoc.dul):
            contain(thread, created)
        assert created.socket is not None, "made for this association"
        if self._tls is None:
            connection = _Watched(fileno=created.socket.detach())
        else:
            context, host = self._tls
            context.sslsocket_class = _SecureConnection
            connection = cast(_SecureConnection, context.wrap_socket(created.socket, server_hostname=host))
        connection.patience_seconds = self._answer_seconds
        created.socket = self.connection = connection
        self.calling_socket = created
        return created


@contextmanager
def open_association(
    station: Station,
    caller: Caller,
    contexts: list[PresentationContext],
    roles: list[SCP_SCU_RoleSelectionNegotiation] | None = None,
) -> Iterator[Association]:
    """Open an association; it is released when the block ends, and aborted when an exception ends it.

    Args:
        station: Whom to call.
        caller: How the node calls, and how long it waits.
        contexts: The presentation contexts to propose, at most 128.
        roles: Roles to propose where the node is not the SCU.

    Yields:
        An association that is established, or one of which the peer accepted no presentation context.

    Raises:
        Unreachable: There is no association.
    """
    configure_pynetdicom()
    try:
        secured = (calling_context(caller.tls), station.host) if station.tls else None
    except BoneAgeError as error:  # certificates that cannot be used
        raise Unreachable(str(error)) from error
    ae = _Requestor(caller.ae_title, caller.waits, secured)
    try:
        try:
            association = ae.associate(
                station.host,
                station.port,
                contexts=contexts,
                ae_title=station.ae_title,
                ext_neg=list(roles or ()),
            )
        except OSError as error:  # the name does not resolve, or no local port is left
            raise Unreachable(_connection_problem(station, error)) from error
        if ae.connection is not None and ae.connection.problem is not None:
            if ae.connection.of_tls:
                raise Unreachable(tls_problem(station, caller.tls, ae.connection.problem))
            raise Unreachable(_connection_problem(station, ae.connection.problem))
        if ae.calling_socket is not None and ae.calling_socket.malformed is not None:
            raise Unreachable(
                f"{station.address} answers with an A-ASSOCIATE-AC that cannot be read "
                f"({ae.calling_socket.malformed}): it, or something on the way, does not keep to DICOM."
            )
        _require_answer(association, station, caller.ae_title)
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        if association.is_established:
            association.release()
    finally:
        if ae.connection is not None:
            ae.connection.close()


def _require_answer(association: Association, station: Station, calling_ae_title: str) -> None:
    answer = association.acceptor.primitive
    if answer is None:  # pynetdicom misses the answer of a peer that rejects and is gone before it looks
        answer = association.dul.receive_pdu()
    if not isinstance(answer, A_ASSOCIATE):
        check = (
            "that this node's certificate is trusted there"
            if station.tls
            else "whether it speaks TLS (then write /tls behind the port)"
        )
        raise Unreachable(
            f"{station.address} takes the connection but does not answer as DICOM: "
            f"check that this is the station's DICOM port, and {check}, and look into its log."
        )
    if answer.result != _ACCEPTED:
        mend = _rejection(answer, station, calling_ae_title)
        raise Unreachable(f"{station.address} rejects the association: {mend}")


def _rejection(answer: A_ASSOCIATE, station: Station, calling_ae_title: str) -> str:
    source, reason = answer.result_source, answer.diagnostic
    if (source, reason) == (1, 7):
        return f"it is not called {station.ae_title}; use the AE title it is configured with."
    if (source, reason) == (1, 3):
        return f"it does not know the calling AE title {calling_ae_title}; add it there as a known station."
    if source == 3:
        return "it has as many associations as it takes; try again later."
    return f"{answer.reason_str.lower()}; see its list of known stations (AE title, address) and its log."


def _connection_problem(station: Station, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"The host name {station.host} is not known: check its spelling, or use the IP address."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on {station.address}: start the station there, or correct the port."
    if isinstance(error, TimeoutError):
        return f"{station.address} does not answer: check the address, and firewalls on the way."
    return f"{station.address} cannot be reached: {error.strerror or type(error).__name__}."
