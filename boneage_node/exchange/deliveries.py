"""Sending what is due, each destination and each form of document by a thread of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from boneage_node.logs import Trouble, get_logger
from boneage_node.net.calling import Caller
from boneage_node.store import DatabaseError, DeliveryTask, Status, Store, leases_kept
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.outcome import Sent

from .destinations import parse
from .settings import DeliverySettings
from .threads import NamedThreads

BATCH = 50
"""Most reports over one connection."""
_PROBLEMS_MAX = 20
"""Different problems of one destination and form that are told apart in the log."""


class Deliveries:
    """The deliveries that are due, each destination and form by a thread, so that none waits for another.

    A destination that chokes on structured reports, or takes long over them, still gets its pictures.

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
        # that pictures arrive says nothing of structured reports
        self._troubles: defaultdict[tuple[str, DocumentForm], dict[str, Trouble]] = defaultdict(dict)

    def tick(self) -> None:
        """Start sending to every destination for which something is due, unless that is under way."""
        for destination, form in self._outbox.routes():
            self._threads.start_once(
                f"deliver {form} to {destination}", partial(self.deliver, destination, form)
            )

    def deliver(self, destination: str, form: DocumentForm) -> None:
        """Send all documents of a form that are due to one destination, a batch a connection."""
        while not self._threads.stopping:
            tasks = self._outbox.claim(destination, form, BATCH, self._lease_seconds, self._policy)
            if not tasks:
                return
            self._send(destination, form, tasks)

    def _send(self, destination: str, form: DocumentForm, tasks: Sequence[DeliveryTask]) -> None:
        """Send deliveries, and give back those that were not tried when the node stops."""
        waiting = {task.file.key: task for task in tasks}

        def extend() -> None:
            self._outbox.extend([task.id for task in list(waiting.values())], self._lease_seconds)

        try:
            with leases_kept(extend, self._lease_seconds / 3):
                self._send_while_running(destination, form, waiting)
        except DatabaseError:
            raise
        except Exception as error:  # a fault of ours: it must not look as if the node had died, for ever
            self._log.error("sending broke off", destination=destination, exc_info=error)
            for task in waiting.values():
                problem = f"Sending broke off ({type(error).__name__}): see the node's log."
                self._failed(task, problem, Sent(task.file, None, problem))

    def _send_while_running(
        self, destination: str, form: DocumentForm, waiting: dict[str, DeliveryTask]
    ) -> None:
        """Send what waits, and take out of it what has come to an end."""
        files = [task.file for task in waiting.values()]
        request_commitment = False
        outcomes: Iterable[Sent]
        try:
            parsed = parse(destination, form)
        except ValueError as error:  # named by a version that knew other protocols
            outcomes = [Sent(file, None, f"{error}.") for file in files]
        else:
            request_commitment = self._request_commitment and parsed.can_commit
            outcomes = parsed.send(files, self._caller)
        for sent in outcomes:
            task = waiting[sent.file.key]
            if sent.error is None:
                self._delivered(task, sent, request_commitment=request_commitment)
            else:
                self._failed(task, sent.error, sent)
            del waiting[sent.file.key]
            if self._threads.stopping:
                self._outbox.release(task.id for task in waiting.values())
                return

    def _delivered(self, task: DeliveryTask, sent: Sent, *, request_commitment: bool) -> None:
        self._outbox.delivered(
            task.id, warning=sent.warning, remark=sent.remark, request_commitment=request_commitment
        )
        known = {"study": task.study_id, "delivery": task.id, "destination": task.destination}
        if sent.warning is None:
            self._log.info("report delivered", **known)
        else:
            self._log.warning("report delivered with a warning", **known, warning=sent.warning)
        for trouble in list(self._troubles[task.destination, task.form].values()):
            trouble.well(destination=task.destination, form=task.form)

    def _failed(self, task: DeliveryTask, error: str, sent: Sent) -> None:
        status = self._outbox.failed(
            task.id,
            f"{error} {sent.remark}" if sent.remark else error,
            self._policy,
            permanent=sent.permanent,
        )
        known = {
            "study": task.study_id,
            "delivery": task.id,
            "destination": task.destination,
            "form": task.form,
            "problem": error,
        }
        if status is Status.DEAD:
            self._log.warning("report is a dead letter", **known)
        else:
            self._trouble(task, error).met(**known)

    def _trouble(self, task: DeliveryTask, problem: str) -> Trouble:
        """The trouble with a destination: said once, not for each report that waits and each attempt."""
        troubles = self._troubles[task.destination, task.form]
        if len(troubles) >= _PROBLEMS_MAX:
            problem = ""
        new = Trouble("report not delivered", "reports delivered again", level="warning")
        return troubles.setdefault(problem, new)
