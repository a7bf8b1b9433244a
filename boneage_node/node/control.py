"""The control process: settles studies, delivers reports, sweeps up."""

from __future__ import annotations

from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler

from boneage_node.exchange.commitment import Commitments
from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.threads import NamedThreads
from boneage_node.logs import get_logger
from boneage_node.settings import Settings
from boneage_node.store import DatabaseAvailability, Store

from .child import Child
from .opening import open_store

TICK_SECONDS = 0.5
"""Time between two rounds of settling studies and looking at the outbox."""
SWEEP_SECONDS = 3600.0


def run(settings: Settings, child: Child) -> None:
    """Run the scheduled work until told to stop; a delivery that is under way is finished."""
    with open_store(settings.storage) as store:
        availability = DatabaseAvailability()
        threads = NamedThreads(child.stop, availability)
        deliveries = Deliveries(
            settings.delivery,
            settings.caller,
            store,
            threads,
            lease_seconds=settings.reading.lease_seconds,
            request_commitment=settings.commitment.request,
        )
        commitments = Commitments(settings.commitment, settings.delivery, settings.caller, store, threads)
        scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
        for work, seconds in (
            (partial(settle, store), TICK_SECONDS),
            (deliveries.tick, TICK_SECONDS),
            (commitments.tick, TICK_SECONDS),
            (partial(sweep, store), SWEEP_SECONDS),
        ):
            scheduler.add_job(availability.guard(work), "interval", seconds=seconds)
        sweep(store)
        scheduler.start()
        child.ready()
        child.stop.wait()
        scheduler.shutdown(wait=True)
        threads.join()


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
