"""The control process: settles studies, delivers reports, sweeps up."""

from __future__ import annotations

from functools import partial

from boneage_node.exchange.commitment import Commitments
from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.threads import NamedThreads
from boneage_node.logs import get_logger
from boneage_node.settings import Settings
from boneage_node.store import DatabaseAvailability, Store

from .child import ALIVE_SECONDS, Child
from .opening import open_store
from .recurring import ClockWatch, Recurring

TICK_SECONDS = 0.5
"""Time between two rounds of settling studies and looking at the outbox."""
SWEEP_SECONDS = 3600.0
HEARTBEAT = "control"
"""Name of this process among the heartbeats."""


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
        clock = ClockWatch()
        recurring = Recurring(child.stop, availability)
        recurring.start("settling", partial(settle, store), TICK_SECONDS)
        recurring.start("delivery", deliveries.tick, TICK_SECONDS)
        recurring.start("commitment", commitments.tick, TICK_SECONDS)
        recurring.start("sweeping", partial(sweep, store, clock), SWEEP_SECONDS, watched=False)
        recurring.start("heartbeat", partial(beat, store, clock), ALIVE_SECONDS)
        child.ready()
        while not child.stop.wait(1.0):
            if recurring.came_round():
                child.alive()
        recurring.join()
        threads.join()


def beat(store: Store, clock: ClockWatch) -> None:
    """Leave a sign of life, and tell where the clock was set."""
    step_seconds = clock.look()
    if abs(step_seconds) > clock.NOTABLE_SECONDS:
        get_logger().warning("the clock was set", seconds=round(step_seconds, 1))
    store.heartbeats.beat(HEARTBEAT)


def settle(store: Store) -> None:
    """Queue the studies of which nothing more is expected."""
    queued = store.intake.settle()
    if queued:
        get_logger().info("studies queued", count=queued)


def sweep(store: Store, clock: ClockWatch) -> None:
    """Remove files that dead senders and killed processes left behind, and what is of no use any more."""
    partial_files, orphans = store.spool.sweep_incoming(), store.sweep_orphans()
    if partial_files or orphans:
        get_logger().info("swept", partial_files=partial_files, orphans=orphans)
    if clock.trustworthy:
        store.commitments.sweep()
        store.commitment_requests.sweep()
