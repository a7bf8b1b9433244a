"""The control process: settles studies, delivers reports, sweeps up."""

from __future__ import annotations

import threading
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler

from .child import Child
from .commitments import Commitments
from .delivery import deliver, is_by_c_store
from .errands import Errands
from .logs import get_logger
from .node import backoff_of, open_store
from .outage import Outage
from .sending import Sent
from .settings import Settings
from .store import DeliveryTask, Status, Store

TICK_SECONDS = 0.5
"""How often studies are settled and the outbox is looked at."""
SWEEP_SECONDS = 3600.0
BATCH = 50
"""How many reports go over one connection."""


def run(settings: Settings, child: Child) -> None:
    """Run the scheduled work until told to stop; a delivery that is under way is finished."""
    with open_store(settings) as store:
        outage = Outage()
        deliveries = Deliveries(settings, store, child.stop, outage)
        commitments = Commitments(settings, store, child.stop, outage)
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
        for work, seconds in (
            (partial(settle, store), TICK_SECONDS),
            (deliveries.tick, TICK_SECONDS),
            (commitments.tick, TICK_SECONDS),
            (partial(sweep, store), SWEEP_SECONDS),
        ):
            scheduler.add_job(outage.surviving(work), "interval", seconds=seconds)
        sweep(store)
        scheduler.start()
        child.ready()
        child.stop.wait()
        scheduler.shutdown(wait=True)
        deliveries.join()
        commitments.join()


def settle(store: Store) -> None:
    """Queue the studies of which nothing more is expected."""
    queued = store.intake.settle()
    if queued:
        get_logger().info("studies queued", count=queued)


def sweep(store: Store) -> None:
    """Remove files that dead senders and killed processes left behind, and what is of no use any more."""
    partial_files, orphans = store.spool.sweep_incoming(), store.sweep_orphans()
    if partial_files or orphans:
        get_logger().info("swept", partial_files=partial_files, orphans=orphans)
    store.commitments.sweep()
    store.commitment_requests.sweep()


class Deliveries:
    """Sends what is due, each destination by a thread of its own, so that none waits for another.

    Args:
        settings: The node's settings.
        store: The store.
        stop: Set when no new connection should be opened.
        outage: Told when the database is away.
    """

    def __init__(self, settings: Settings, store: Store, stop: threading.Event, outage: Outage) -> None:
        self._settings = settings
        self._store = store
        self._stop = stop
        self._errands = Errands(stop, outage)
        self._log = get_logger()

    def tick(self) -> None:
        """Start sending to every destination for which something is due and nobody is at it."""
        for destination in self._store.outbox.destinations():
            self._errands.start(f"deliver-{destination}", partial(self.deliver, destination))

    def join(self) -> None:
        """Wait for what is being sent."""
        self._errands.join()

    def deliver(self, destination: str) -> None:
        """Send all that is due to one destination, a batch a connection."""
        while not self._stop.is_set():
            tasks = self._store.outbox.claim(
                destination,
                BATCH,
                self._settings.lease_seconds,
                max_attempts=self._settings.delivery_max_attempts,
            )
            if not tasks:
                return
            self._send(destination, tasks)

    def _send(self, destination: str, tasks: list[DeliveryTask]) -> None:
        waiting = {task.path: task for task in tasks}
        for sent in deliver(destination, tasks, self._settings):
            task = waiting.pop(sent.path)
            if sent.error is None:
                ask = self._settings.request_commitment and is_by_c_store(task)
                self._store.outbox.delivered([task.id], request_commitment=ask)
                self._log.info(
                    "report delivered", study=task.study_id, delivery=task.id, destination=destination
                )
            else:
                self._failed(task, sent.error, sent)
            if self._stop.is_set() and waiting:
                self._store.outbox.release([later.id for later in waiting.values()])
                return
            self._store.outbox.extend([later.id for later in waiting.values()], self._settings.lease_seconds)

    def _failed(self, task: DeliveryTask, error: str, sent: Sent) -> None:
        status = self._store.outbox.failed(
            task.id,
            f"{error} {sent.remark}" if sent.remark else error,
            permanent=sent.permanent,
            max_attempts=self._settings.delivery_max_attempts,
            backoff=backoff_of(self._settings),
        )
        event = "report is a dead letter" if status is Status.DEAD else "report not delivered"
        self._log.warning(
            event, study=task.study_id, delivery=task.id, destination=task.destination, problem=error
        )
