"""Requests of peers for storage commitment, with results from the database and the files alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.commitment import (
    MAX_OPEN_REQUESTS,
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    FailureReason,
    ReferencedSop,
    TooManyRequests,
)

from .database import Transaction
from .leases import LeasedPart, Leases, start_anew
from .tables import CommitmentRequestRow, EventKind, InstanceRow, Status

_KEPT_DAYS = 30
_QUERY_BATCH = 500

_REQUESTS = Leases(
    CommitmentRequestRow, lost=lambda _: "the process reporting its result died, or lost its lease"
)
_IS_OPEN = CommitmentRequestRow.status.in_([Status.TODO, Status.DOING])


class CommitmentRequests(LeasedPart):
    """The requests of peers."""

    _leases = _REQUESTS

    def accept(self, request: CommitmentRequest, *, due_in_seconds: float = 0.0) -> CommitmentRequest:
        """Take a request in. When this returns, it is committed.

        The same request again, whose success the peer did not see, gets its result again.

        Args:
            request: The request.
            due_in_seconds: How long nobody but the caller sends its result.

        Raises:
            TooManyRequests: Too many wait for their results.
            SpoolFull: There is no room (an OSError with ENOSPC).
        """
        self._spool.require_room()
        table = CommitmentRequestRow
        with self._transactions.writing() as session:
            if session.scalars(select(func.count()).where(_IS_OPEN)).one() >= MAX_OPEN_REQUESTS:
                raise TooManyRequests(f"{MAX_OPEN_REQUESTS} requests wait for their results")
            known = _REQUESTS.lock(
                session,
                table.calling_ae_title == request.peer,
                table.transaction_uid == request.transaction_uid,
            )
            row = next(
                iter(known), table(calling_ae_title=request.peer, transaction_uid=request.transaction_uid)
            )
            session.add(row)
            row.instances = [list(instance) for instance in request.references]
            row.created_at = session.now
            row.last_error = None
            start_anew(row, session.now, timedelta(seconds=due_in_seconds))
            session.flush()
            return _request(row)

    def peers(self) -> list[str]:
        """The AE titles of peers to whom a result is due now."""
        return self._due(CommitmentRequestRow.calling_ae_title)

    def claim(
        self, calling_ae_title: str, lease_seconds: float, policy: RetryPolicy
    ) -> CommitmentRequest | None:
        """Take the oldest request of a peer whose result is due; None where there is none."""
        of_peer = CommitmentRequestRow.calling_ae_title == calling_ae_title
        with self._transactions.writing() as session:
            for (row,) in _REQUESTS.bury_spent(session, policy, of_peer):
                row.instances = []
            rows = _REQUESTS.claim(session, 1, lease_seconds, policy, of_peer)
            return _request(rows[0][0]) if rows else None

    def make_result(self, request: CommitmentRequest) -> CommitmentResult:
        """Make the result: the objects that the node keeps now, and the others.

        An object is kept when it was received under that SOP class and all files under its UID are in the
        spool in their full length.
        """
        committed: list[ReferencedSop] = []
        failed: list[FailedReference] = []
        with self._transactions.reading() as session:
            rows = _received(session, request.references)
        for referenced in request.references:
            reason = self._why_not(referenced.sop_class_uid, rows[referenced.sop_instance_uid])
            if reason is None:
                committed.append(referenced)
            else:
                failed.append(FailedReference(referenced, reason))
        return CommitmentResult(request.transaction_uid, tuple(committed), tuple(failed))

    def result_sent(self, request_id: int, result: CommitmentResult) -> None:
        """End a request whose peer has its result; the history of each study in it says so, too."""
        with self._transactions.writing() as session:
            for row in _REQUESTS.lock(session, CommitmentRequestRow.id == request_id, _IS_OPEN):
                _REQUESTS.complete(session, row)
                row.instances = []
                received = _received(session, result.committed).values()
                studies = Counter(instances[0].study_id for instances in received)
                for study_id, images in sorted(studies.items()):
                    detail = f"told {row.calling_ae_title} that {images} of its images are kept"
                    session.record(EventKind.COMMITMENT_ANSWERED, study_id, detail)

    def failed(self, request_id: int, error: str, policy: RetryPolicy, *, permanent: bool = False) -> Status:
        """Send a result again later, or give it up, as `Leases.fail`; returns the request's status now.

        Nothing changes where the peer has its result all the same.
        """
        with self._transactions.writing() as session:
            for row in _REQUESTS.lock(session, CommitmentRequestRow.id == request_id, _IS_OPEN):
                _REQUESTS.fail(session, row, error, policy, permanent=permanent)
                if row.status == Status.DEAD:
                    row.instances = []
                return row.status
            return Status.DONE

    def sweep(self) -> None:
        """Forget requests that have come to their end long ago."""
        with self._transactions.writing() as session:
            latest = session.now - timedelta(days=_KEPT_DAYS)
            session.execute(delete(CommitmentRequestRow).where(CommitmentRequestRow.finished_at < latest))

    def _why_not(self, sop_class_uid: str, rows: Sequence[InstanceRow]) -> FailureReason | None:
        if not rows or not all(self._spool.holds(row.file_name, row.size_bytes) for row in rows):
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        if any(row.sop_class_uid != sop_class_uid for row in rows):
            return FailureReason.CLASS_INSTANCE_CONFLICT
        return None


def _request(row: CommitmentRequestRow) -> CommitmentRequest:
    return CommitmentRequest(
        peer=row.calling_ae_title,
        transaction_uid=row.transaction_uid,
        references=tuple(ReferencedSop(*instance) for instance in row.instances),
        id=row.id,
        attempts=row.attempts,
    )


def _received(
    session: Transaction, references: Sequence[ReferencedSop]
) -> defaultdict[str, list[InstanceRow]]:
    """Instances received under the UIDs of these objects, by UID."""
    received: defaultdict[str, list[InstanceRow]] = defaultdict(list)
    for start in range(0, len(references), _QUERY_BATCH):
        uids = [each.sop_instance_uid for each in references[start : start + _QUERY_BATCH]]
        for row in session.scalars(select(InstanceRow).where(InstanceRow.sop_instance_uid.in_(uids))):
            received[row.sop_instance_uid].append(row)
    return received
