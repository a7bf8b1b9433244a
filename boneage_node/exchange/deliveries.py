"""Sending what is due, each destination by a thread of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

from boneage_node.logs import get_logger
from boneage_node.net.calling import Caller
from boneage_node.store import DeliveryTask, Status, Store
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent

from .destination import Destination
from .destinations import parse
from .settings import DeliverySettings
from .threads import NamedThreads

BATCH = 50
"""Most reports over one connection."""


class Deliveries:
    """The deliveries that are due, sent by a thread a destination, so that none waits for another.

    Args:
        settings: How often a delivery is tried.
        caller: How the node appears to destinations.
        store: The store.
        threads: The threads of the control process.
        lease_seconds: Deliveries of a process not heard of for so long are taken over.
        request_commitment: Ask for storage commitment of what was sent, where a destination can be asked.
    """

    def __init__(
        self,
        settings: DeliverySettings,
        caller: Caller,
        store: Store,
        threads: NamedThreads,
        *,
        lease_seconds: float,
        request_commitment: bool,
    ) -> None:
        self._policy = settings.retry
        self._caller = caller
        self._outbox = store.outbox
        self._threads = threads
        self._lease_seconds = lease_seconds
        self._request_commitment = request_commitment
        self._log = get_logger()

    def tick(self) -> None:
        """Start sending to every destination for which something is due, unless that is under way."""
        for destination in self._outbox.destinations():
            self._threads.start_once(f"deliver to {destination}", partial(self.deliver, destination))

    def deliver(self, destination: str) -> None:
        """Send all that is due to one destination, a batch a connection."""
        while not self._threads.stopping:
            tasks = self._outbox.claim(destination, BATCH, self._lease_seconds, self._policy)
            if not tasks:
                return
            self._send(tasks)

    def _send(self, tasks: Sequence[DeliveryTask]) -> None:
        """Send deliveries, and give back those that were not tried when the node stops."""
        waiting = {task.file.key: task for task in tasks}
        for can_commit, sent in self._outcomes(tasks):
            task = waiting.pop(sent.file.key)
            if sent.error is None:
                self._delivered(task, request_commitment=self._request_commitment and can_commit)
            else:
                self._failed(task, sent.error, sent)
            later = [task.id for task in waiting.values()]
            if self._threads.stopping:
                self._outbox.release(later)
                return
            self._outbox.extend(later, self._lease_seconds)

    def _outcomes(self, tasks: Sequence[DeliveryTask]) -> Iterator[tuple[bool, Sent]]:
        """Send deliveries of one destination; yields whether it can commit, and what became of each file."""
        files: dict[Destination, list[StoredFile]] = defaultdict(list)
        for task in tasks:
            try:
                files[parse(task.destination, task.form)].append(task.file)
            except ValueError as error:  # named by a version that knew other protocols
                yield False, Sent(task.file, None, f"{error}.")
        for destination, theirs in files.items():
            for sent in destination.send(theirs, self._caller):
                yield destination.can_commit, sent

    def _delivered(self, task: DeliveryTask, *, request_commitment: bool) -> None:
        self._outbox.delivered([task.id], request_commitment=request_commitment)
        self._log.info(
            "report delivered", study=task.study_id, delivery=task.id, destination=task.destination
        )

    def _failed(self, task: DeliveryTask, error: str, sent: Sent) -> None:
        status = self._outbox.failed(
            task.id,
            f"{error} {sent.remark}" if sent.remark else error,
            self._policy,
            permanent=sent.permanent,
        )
        event = "report is a dead letter" if status is Status.DEAD else "report not delivered"
        self._log.warning(
            event, study=task.study_id, delivery=task.id, destination=task.destination, problem=error
        )
