"""Query and retrieve by DICOM: the PACS is asked by C-FIND, and sends to the node on C-MOVE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from boneage_node.dimse.query_scu import Pacs, SubOperations
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.store import DatabaseError
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.query import Level, QueryFailed, Rows

from .source import Advance, Fetched, Plan, RunningNode, Source


@dataclass(frozen=True)
class QueryRetrieve(Source):
    """A PACS that is asked by C-FIND, and sends to the node on C-MOVE.

    Attributes:
        address: The PACS.
    """

    address: Station

    def ask(self, level: Level, keys: Mapping[str, str], caller: Caller) -> Rows:
        """Ask by C-FIND."""
        return Pacs(self.address, caller).find(level, keys)

    def fetch(self, plan: Plan, node: RunningNode, caller: Caller, advance: Advance) -> Fetched:
        """Have the PACS send to the node, which it must know.

        The store of the node says what has arrived, where it can be seen. What the PACS says counts for what
        it has failed to send; many say nothing of what they sent, or say so before they send it.
        """
        series = [one.series_instance_uid for one in plan.wanted or ()] if plan.left_out else []
        pacs, study = Pacs(self.address, caller), plan.study.study_instance_uid
        last: SubOperations | None = None
        fetched = Fetched()
        try:
            for last in pacs.move(study, series, node.station.ae_title):
                done, failed = last.completed or 0, last.failed or 0
                advance(done, max(done + failed + (last.remaining or 0), plan.images or 0))
        except (QueryFailed, Unreachable) as error:
            fetched.problems.append(str(error))
        if last is not None:
            if last.problem:
                fetched.problems.append(last.problem)
            _judge(fetched, last, plan, _arrived(plan, node, caller, wait=not fetched.problems))
        return fetched


def _arrived(plan: Plan, node: RunningNode, caller: Caller, *, wait: bool) -> int | None:
    """How many images of the plan the node has; None where that cannot be seen.

    Args:
        plan: What was to be fetched.
        node: The node.
        caller: How long to wait.
        wait: Whether the PACS says that all is well: some say so before they send.
    """
    if node.arrivals is None:
        return None
    series = [one.series_instance_uid for one in plan.wanted or ()]
    count = (plan.images or 1) if wait else 0
    patience_seconds = caller.waits.connect_seconds
    try:
        return node.arrivals.wait(
            count, plan.study.study_instance_uid, series, patience_seconds=patience_seconds
        )
    except DatabaseError:
        return None


def _judge(fetched: Fetched, last: SubOperations, plan: Plan, arrived: int | None) -> None:
    """Put what the PACS says at the end beside what has arrived."""
    fetched.arrived = last.completed or 0 if arrived is None else arrived
    if fetched.problems:
        return
    if arrived is None:
        if last.completed is None:
            fetched.notes.append(
                "The PACS says that it is done, and not how many images it sent; the node's database cannot "
                "be seen from here. See what has come: boneage-node studies list."
            )
    elif not arrived or (plan.images is not None and arrived < plan.images):
        of = "" if plan.images is None else f" of {plan.images}"
        fetched.problems.append(
            f"The PACS says that it is done, and the node has {arrived}{of} images: it may still be sending, "
            "or send to another station by this node's AE title; look into both logs."
        )
    elif last.doubtful and plan.images is None:
        fetched.notes.append("The PACS ended with a warning and does not say what of: compare the images.")
