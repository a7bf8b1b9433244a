"""Opening an association as its requestor, or saying in a sentence why that failed and what mends it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from boneage_node.sending import Unreachable

from .destination import Destination
from .toolkit import configure_pynetdicom

DEFAULT_TIMEOUT_SECONDS = 30.0


class _Connection(socket.socket):
    """A socket that remembers why it could not connect: pynetdicom keeps that to itself."""

    problem: OSError | None = None

    def connect(self, address: Any) -> None:
        try:
            super().connect(address)
        except OSError as error:
            self.problem = error
            raise


class _Requestor(AE):
    """An application entity that keeps its connection: pynetdicom leaves one open that never connected."""

    connection: _Connection | None = None

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        created = super()._create_socket(assoc, address, tls_args)
        assert created.socket is not None, "made for this association"
        created.socket = self.connection = _Connection(fileno=created.socket.detach())
        return created


@contextmanager
def open_association(
    destination: Destination,
    calling_ae_title: str,
    contexts: list[PresentationContext],
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> Iterator[Association]:
    """Open an association; it is released when the block ends, and aborted when an exception ends it.

    Args:
        destination: Whom to call.
        calling_ae_title: The AE title to call with.
        contexts: The presentation contexts to propose, at most 128.
        timeout_seconds: How long to wait for the connection, and for each answer.

    Yields:
        An association that is established, or one of which the peer accepted no presentation context.

    Raises:
        Unreachable: There is no association.
    """
    configure_pynetdicom()
    ae = _Requestor(ae_title=calling_ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout_seconds
    try:
        try:
            association = ae.associate(
                destination.host, destination.port, contexts=contexts, ae_title=destination.ae_title
            )
        except OSError as error:  # the name does not resolve, or no local port is left
            raise Unreachable(_connection_problem(destination, error)) from error
        if ae.connection is not None and ae.connection.problem is not None:
            raise Unreachable(_connection_problem(destination, ae.connection.problem))
        _require_answer(association, destination, calling_ae_title)
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


def _require_answer(association: Association, destination: Destination, calling_ae_title: str) -> None:
    answer = association.acceptor.primitive
    if answer is None:
        raise Unreachable(
            f"{destination.address} takes the connection but does not answer as DICOM: "
            "check that this is the station's DICOM port, and look into its log."
        )
    if association.is_rejected:
        mend = _rejection(answer, destination, calling_ae_title)
        raise Unreachable(f"{destination.address} rejects the association: {mend}")


def _rejection(answer: A_ASSOCIATE, destination: Destination, calling_ae_title: str) -> str:
    source, reason = answer.result_source, answer.diagnostic
    if (source, reason) == (1, 7):
        return f"it is not called {destination.ae_title}; use the AE title it is configured with."
    if (source, reason) == (1, 3):
        return f"it does not know the calling AE title {calling_ae_title}; add it there as a known station."
    if source == 3:
        return "it has as many associations as it takes; try again later."
    return f"{answer.reason_str.lower()}; see its list of known stations (AE title, address) and its log."


def _connection_problem(destination: Destination, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"The host name {destination.host} is not known: check its spelling, or use the IP address."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on {destination.address}: start the station there, or correct the port."
    if isinstance(error, TimeoutError):
        return f"{destination.address} does not answer: check the address, and firewalls on the way."
    return f"{destination.address} cannot be reached: {error.strerror or type(error).__name__}."
