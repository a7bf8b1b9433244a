"""Requests of peers for storage commitment, answered from the database and the files alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

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

from .history import record
from .leases import Leases, start_anew
from .part import Part
from .tables import CommitmentRequestRow, EventKind, InstanceRow, Status

_KEPT_DAYS = 30
_QUERY_BATCH = 500

_REQUESTS = Leases(
    CommitmentRequestRow,
    title=lambda request: f"request {request.id}",
    events={},
    lost=lambda _: "the process answering it died, or lost its lease",
)


class CommitmentRequests(Part):
    """The requests of peers."""

    def accept(self, request: CommitmentRequest, *, answer_in_seconds: float = 0.0) -> CommitmentRequest:
        """Take a request in. When this returns, it is committed.

        The same request again, whose success the peer did not see, is answered again.

        Args:
            request: The request.
            answer_in_seconds: How long nobody but the caller answers it.

        Raises:
            TooManyRequests: Too many wait for their answers.
            SpoolFull: There is no room (an OSError with ENOSPC).
        """
        self._spool.require_room()
        with self._transactions.writing() as session:
            now = self._clock()
            waiting = select(func.count()).where(_is_open())
            if session.scalars(waiting).one() >= MAX_OPEN_REQUESTS:
                raise TooManyRequests(f"{MAX_OPEN_REQUESTS} requests wait for their answers")
            row = session.scalars(
                select(CommitmentRequestRow)
                .where(
                    CommitmentRequestRow.calling_ae_title == request.peer,
                    CommitmentRequestRow.transaction_uid == request.transaction_uid,
                )
                .with_for_update()
            ).one_or_none()
            if row is None:
                row = CommitmentRequestRow(
                    calling_ae_title=request.peer, transaction_uid=request.transaction_uid
                )
                session.add(row)
            row.instances = [list(instance) for instance in request.references]
            row.created_at = now
            row.last_error = None
            start_anew(row, now + timedelta(seconds=answer_in_seconds))
            session.flush()
            return _request(row)

    def peers(self) -> list[str]:
        """The AE titles of peers to whom an answer is due now."""
        with self._transactions.reading() as session:
            due = select(CommitmentRequestRow.calling_ae_title).where(_REQUESTS.due(self._clock())).distinct()
            return sorted(session.scalars(due))

    def claim(
        self, calling_ae_title: str, lease_seconds: float, policy: RetryPolicy
    ) -> CommitmentRequest | None:
        """Take the oldest request of a peer that is due, in order to answer it; None where there is none.

        Args:
            calling_ae_title: The peer.
            lease_seconds: When it is due again should the caller not be heard of.
            policy: A request whose lease has run out in its last attempt is given up.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            of_peer = CommitmentRequestRow.calling_ae_title == calling_ae_title
            for (row,) in _REQUESTS.bury_spent(session, now, policy, of_peer):
                row.instances = []
            rows = _REQUESTS.claim(session, now, 1, lease_seconds, policy, of_peer)
            return _request(rows[0][0]) if rows else None

    def answer(self, request: CommitmentRequest) -> CommitmentResult:
        """Make the result: the objects that the node can vouch for now, and the others.

        An object is kept when it was received under that SOP class and all files under its UID are in the
        spool in their full length.
        """
        committed: list[ReferencedSop] = []
        failed: list[FailedReference] = []
        with self._transactions.reading() as session:
            rows = _received(session, [instance for _, instance in request.references])
        for referenced in request.references:
            reason = self._why_not(referenced.sop_class_uid, rows.get(referenced.sop_instance_uid, []))
            if reason is None:
                committed.append(referenced)
            else:
                failed.append(FailedReference(referenced, reason))
        return CommitmentResult(request.transaction_uid, tuple(committed), tuple(failed))

    def answered(self, request_id: int, answer: CommitmentResult) -> None:
        """Say that the peer has its answer; the history of each study in it says so, too."""
        with self._transactions.writing() as session:
            now = self._clock()
            row = _open(session, request_id)
            if row is None:
                return
            _REQUESTS.complete(session, row, now)
            row.instances = []
            rows = _received(session, [instance for _, instance in answer.committed])
            studies = [found[0].study_id for found in rows.values()]
            for study_id in sorted(set(studies)):
                detail = f"told {row.calling_ae_title} that {studies.count(study_id)} of its images are kept"
                record(session, EventKind.COMMITMENT_ANSWERED, now, study_id, detail)

    def failed(self, request_id: int, error: str, policy: RetryPolicy, *, permanent: bool = False) -> Status:
        """Say that an answer did not arrive: it is sent again later, or given up.

        Returns:
            The request's status now; done where the peer has its answer all the same.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            row = _open(session, request_id)
            if row is None:
                return Status.DONE
            _REQUESTS.fail(session, row, error, now, policy, permanent=permanent)
            if row.status == Status.DEAD:
                row.instances = []
            return row.status

    def counts(self) -> dict[str, int]:
        """Numbers of requests by status."""
        with self._transactions.reading() as session:
            return _REQUESTS.counts(session)

    def sweep(self) -> None:
        """Forget requests that have come to their end long ago."""
        with self._transactions.writing() as session:
            latest = self._clock() - timedelta(days=_KEPT_DAYS)
            session.execute(delete(CommitmentRequestRow).where(CommitmentRequestRow.finished_at < latest))

    def _why_not(self, sop_class: str, rows: Sequence[InstanceRow]) -> FailureReason | None:
        if not rows or not all(self._spool.holds(row.file_name, row.size_bytes) for row in rows):
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        if any(row.sop_class_uid != sop_class for row in rows):
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


def _is_open() -> ColumnElement[bool]:
    return CommitmentRequestRow.status.in_([Status.TODO, Status.DOING])


def _open(session: Session, request_id: int) -> CommitmentRequestRow | None:
    return next(iter(_REQUESTS.lock(session, CommitmentRequestRow.id == request_id, _is_open())), None)


def _received(session: Session, sop_instance_uids: Sequence[str]) -> dict[str, list[InstanceRow]]:
    """Instances received under these UIDs, by UID."""
    found: dict[str, list[InstanceRow]] = {}
    for start in range(0, len(sop_instance_uids), _QUERY_BATCH):
        batch = sop_instance_uids[start : start + _QUERY_BATCH]
        for row in session.scalars(select(InstanceRow).where(InstanceRow.sop_instance_uid.in_(batch))):
            found.setdefault(row.sop_instance_uid, []).append(row)
    return found
