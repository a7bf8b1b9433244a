"""Opening an association as its requestor, or saying in a sentence why that failed and what mends it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from .destination import Destination
from .toolkit import configure_pynetdicom

DEFAULT_TIMEOUT_SECONDS = 30.0


class Unreachable(Exception):  # noqa: N818 - reads as the sentence it is
    """No association could be opened, or it broke; the text says why, for whoever can mend it."""


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
    ae = AE(ae_title=calling_ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = timeout_seconds
    connections: list[object] = []
    try:
        association = ae.associate(
            destination.host,
            destination.port,
            contexts=contexts,
            ae_title=destination.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: connections.append(event.address))],
        )
    except OSError as error:  # the name does not resolve, or no local port is left
        raise Unreachable(_connection_problem(destination, error)) from error
    accepted_none = association.acceptor.primitive is not None and not association.is_rejected
    if not association.is_established and not accepted_none:
        raise Unreachable(_association_problem(association, destination, calling_ae_title, bool(connections)))
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def _association_problem(
    association: Association, destination: Destination, calling_ae_title: str, connected: bool
) -> str:
    if association.is_rejected:
        return _rejection(association, destination, calling_ae_title)
    if connected:
        return (
            f"{destination.address} takes the connection but does not answer as DICOM: "
            "check that this is the station's DICOM port, and look into its log."
        )
    # pynetdicom keeps the error to itself; asking again says it.
    try:
        socket.create_connection((destination.host, destination.port), association.connection_timeout).close()
    except OSError as error:
        return _connection_problem(destination, error)
    return f"{destination.address} did not take the connection at first, but does now: try again."


def _rejection(association: Association, destination: Destination, calling_ae_title: str) -> str:
    answer = association.acceptor.primitive
    assert answer is not None, "rejected by an answer"
    source, reason = answer.result_source, answer.diagnostic
    if (source, reason) == (1, 7):
        mend = f"it is not called {destination.ae_title}; use the AE title it is configured with."
    elif (source, reason) == (1, 3):
        mend = f"it does not know the calling AE title {calling_ae_title}; add it there as a known station."
    elif source == 3:
        mend = "it has as many associations as it takes; try again later."
    else:
        mend = f"{answer.reason_str.lower()}; see its list of known stations (AE title, address) and its log."
    return f"{destination.address} rejects the association: {mend}"


def _connection_problem(destination: Destination, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"The host name {destination.host} is not known: check its spelling, or use the IP address."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens on {destination.address}: start the station there, or correct the port."
    if isinstance(error, TimeoutError):
        return f"{destination.address} does not answer: check the address, and firewalls on the way."
    return f"{destination.address} cannot be reached: {error.strerror or type(error).__name__}."
