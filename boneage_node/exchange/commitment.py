"""Storage commitment between store and network: the part of the receiver, and that of the control process."""

from __future__ import annotations

from functools import partial

from pydicom.uid import generate_uid

from boneage_node.dimse.commitment import (
    LINGER_SECONDS,
    REQUEST_BATCH,
    NotSupported,
    NotTaken,
    send_request,
    send_result,
)
from boneage_node.logs import get_logger
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.retry import RetryPolicy
from boneage_node.store import Status, Store
from boneage_node.traffic.commitment import CommitmentRequest, CommitmentResult
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.outcome import Unreachable

from .destinations import parse
from .settings import CommitmentSettings, DeliverySettings
from .threads import NamedThreads

RESULT_HERE_SECONDS = 60.0
"""Time that the control process leaves a result to the association of the request."""
_LEASE_SECONDS = 300.0


def known_stations(commitment: CommitmentSettings, delivery: DeliverySettings) -> dict[str, Station]:
    """The stations that are known by AE title: those of `known_peers`, and else of `send_to`."""
    destinations = [destination.station for destination in delivery.send_to]
    stations = [*commitment.known_peers, *filter(None, destinations)]
    return {station.ae_title: station for station in reversed(stations)}


class CommitmentReceiver:
    """Storage commitment in the receiver: keeps requests of peers, and results of the node's own requests.

    Args:
        commitment: The stations of peers.
        delivery: Further stations, and how often what a peer does not keep is sent again.
        store: The store.
    """

    def __init__(self, commitment: CommitmentSettings, delivery: DeliverySettings, store: Store) -> None:
        self._stations = known_stations(commitment, delivery)
        self._retry = delivery.retry
        self._store = store
        self._log = get_logger()

    def accept_request(self, request: CommitmentRequest) -> CommitmentRequest:
        """Keep a request; when this returns, it survives a power cut."""
        known = request.peer in self._stations
        return self._store.commitment_requests.accept(
            request, due_in_seconds=0.0 if known else RESULT_HERE_SECONDS
        )

    def result_here(self, request: CommitmentRequest) -> CommitmentResult | None:
        """Return the result where it has to go over the association of the request, else None."""
        if request.peer in self._stations:
            return None
        return self._store.commitment_requests.make_result(request)

    def result_sent(self, request: CommitmentRequest, result: CommitmentResult) -> None:
        """Note that the peer has its result."""
        note_result_sent(self._store, request, result)

    def accept_result(self, result: CommitmentResult) -> bool:
        """Keep the result of a request of the node's own; False where there is no such request."""
        return keep_result(self._store, self._retry, result)


def note_result_sent(store: Store, request: CommitmentRequest, result: CommitmentResult) -> None:
    """Note that a peer has the result of its request."""
    store.commitment_requests.result_sent(request.id, result)
    get_logger().info(
        "storage commitment reported",
        request=request.id,
        peer=request.peer,
        committed=len(result.committed),
        failed=len(result.failed),
    )


def keep_result(store: Store, retry: RetryPolicy, result: CommitmentResult) -> bool:
    """Keep the result of a request of the node's own; False where there is no such request."""
    reported = store.commitments.reported(result, retry)
    if reported is None:
        return False
    log = get_logger().warning if reported.refused else get_logger().info
    log(
        "storage commitment received",
        destination=reported.destination,
        committed=reported.committed,
        refused=reported.refused,
    )
    return True


class Commitments:
    """Storage commitment in the control process: requests to destinations, and results for peers.

    Each destination and each peer has a thread of its own, so that none waits for another.

    Args:
        commitment: The stations of peers, and how long a result is waited for.
        delivery: Further stations, and how often a result is sent.
        caller: How the node appears to them.
        store: The store.
        threads: The threads of the control process.
    """

    def __init__(
        self,
        commitment: CommitmentSettings,
        delivery: DeliverySettings,
        caller: Caller,
        store: Store,
        threads: NamedThreads,
    ) -> None:
        self._request_retry = commitment.retry
        self._stations = known_stations(commitment, delivery)
        self._retry = delivery.retry
        self._caller = caller
        self._store = store
        self._threads = threads
        self._unsupported: set[str] = set()
        self._log = get_logger()

    def tick(self) -> None:
        """Start what is due, unless it is under way."""
        for destination in self._store.commitments.destinations():
            self._threads.start_once(
                f"request commitment of {destination}", partial(self.request, destination)
            )
        for peer in self._store.commitment_requests.peers():
            self._threads.start_once(f"report commitment to {peer}", partial(self.report, peer))

    def request(self, destination: str) -> None:
        """Request commitment of a destination for all that is due, a batch a request."""
        while not self._threads.stopping:
            transaction_uid = str(generate_uid(prefix=None))
            request = self._store.commitments.claim(
                destination, REQUEST_BATCH, transaction_uid, self._request_retry
            )
            if request is None:
                return
            self._request(request)

    def report(self, peer: str) -> None:
        """Report to a peer all results that are due, an association a request."""
        while not self._threads.stopping:
            request = self._store.commitment_requests.claim(peer, _LEASE_SECONDS, self._retry)
            if request is None:
                return
            self._report(request)

    def _request(self, request: CommitmentRequest) -> None:
        station = parse(request.peer, DocumentForm.SR).station
        assert station is not None, "commitment is requested of stations alone"

        def is_done() -> bool:
            return self._threads.stopping or self._store.commitments.has_result(request.transaction_uid)

        try:
            send_request(
                station,
                request,
                self._caller,
                partial(keep_result, self._store, self._retry),
                is_done,
                linger_seconds=LINGER_SECONDS,
            )
        except NotSupported as error:
            self._store.commitments.unsupported(request.transaction_uid, str(error))
            if request.peer not in self._unsupported:
                self._unsupported.add(request.peer)
                self._log.warning(
                    "storage commitment not supported", destination=request.peer, problem=str(error)
                )
        except (NotTaken, Unreachable) as error:
            self._store.commitments.not_requested(request.transaction_uid, str(error), self._request_retry)
            self._log.warning(
                "storage commitment not requested",
                destination=request.peer,
                studies=request.study_ids,
                problem=str(error),
            )
        else:
            self._log.info(
                "storage commitment requested", destination=request.peer, references=len(request.references)
            )

    def _report(self, request: CommitmentRequest) -> None:
        station = self._stations.get(request.peer)
        if station is None:
            name = request.peer
            self._report_failed(
                request,
                f"It is not known where {name} listens: name it in known_peers, as {name}@host:port.",
            )
            return
        result = self._store.commitment_requests.make_result(request)
        try:
            send_result(station, result, self._caller)
        except (NotTaken, Unreachable) as error:
            permanent = isinstance(error, NotTaken) and error.permanent
            self._report_failed(request, str(error), permanent=permanent)
        else:
            note_result_sent(self._store, request, result)

    def _report_failed(self, request: CommitmentRequest, problem: str, *, permanent: bool = False) -> None:
        status = self._store.commitment_requests.failed(request.id, problem, self._retry, permanent=permanent)
        given_up = status is Status.DEAD
        self._log.warning(
            "storage commitment report given up" if given_up else "storage commitment not reported",
            request=request.id,
            peer=request.peer,
            attempt=request.attempts,
            problem=problem,
        )
