"""Intake: from a received file to a row, and from a quiet study to a job."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import and_, or_, select

from boneage_node.traffic.received import Accepted, NotAcceptable, Received
from boneage_node.traffic.uid import is_uid

from .arrivals import is_own_document, newest_copy, record_arrival
from .database import Transaction, insert_if_new
from .leases import clock_set_back
from .part import Part, columns_of
from .queue import enqueue
from .tables import AE_TITLE_LENGTH, UID_LENGTH, EventKind, InstanceRow, StudyRow, StudyState

_AE_TITLE = re.compile(rf"[ -~]{{0,{AE_TITLE_LENGTH}}}")
_SETTLE_BATCH = 500


class Intake(Part):
    """Takes instances in and settles studies."""

    def accept(self, incoming: Path, received: Received, quiet_seconds: float) -> Accepted:
        """Take in one instance. When this returns, its bytes are on disk and its row is committed.

        The same bytes received again change nothing, unless others have come under their SOP Instance UID
        since: then they are the newest again. Other bytes under a known SOP Instance UID are kept beside the
        first, and the study's history says so; where they name another study, the image has moved there, and
        the study that it was in is read again.

        Args:
            incoming: The whole file, flushed, in the spool's ``incoming_dir``. The caller removes it
                afterwards and does not write to it again: the spool holds the same file by another name.
            received: What is known of it.
            quiet_seconds: How long nothing more must come for the study before it is queued.

        Raises:
            NotAcceptable: A UID or the AE title is not one.
            SpoolFull: There is no room (an OSError with ENOSPC).
            DatabaseError: The database does not answer.
        """
        _check(received)
        received = replace(received, calling_ae_title=received.calling_ae_title.strip())
        sha256 = _data_set_sha256(incoming)
        with self._transactions.reading() as session:  # Before the file is linked: no database, no file.
            known = _find(session, received, sha256)
            newest = newest_copy(session, received.sop_instance_uid)
        if known is not None and self._spool.holds(known.file_name, known.size_bytes):
            if newest is None or newest.id != known.id:
                with self._transactions.writing() as session:
                    _arrived(session, _study_of(session, received), known, quiet_seconds)
            return Accepted(known.study_id, known.id, new=False)

        name = self._spool.keep(incoming)
        filed = False
        try:
            with self._transactions.writing() as session:
                accepted = self._file(session, received, sha256, name, incoming.stat().st_size, quiet_seconds)
                session.flush()
                # From here on a commit that fails may have happened all the same: the file then stays, and
                # the sweep of orphans decides.
                filed = True
        except BaseException:
            if not filed:
                self._spool.discard(name)
            raise
        return accepted

    def _file(
        self,
        session: Transaction,
        received: Received,
        sha256: str,
        name: str,
        size_bytes: int,
        quiet_seconds: float,
    ) -> Accepted:
        study = _study_of(session, received)
        inserted = insert_if_new(
            session,
            InstanceRow,
            ["sop_instance_uid", "sha256"],
            **columns_of(InstanceRow, received),
            study_id=study.id,
            sha256=sha256,
            file_name=name,
            size_bytes=size_bytes,
            received_at=session.now,
        )
        instance = _find(session, received, sha256)
        assert instance is not None, "inserted, or there before"
        if not inserted:
            self._restore(session, instance, name, size_bytes)
        _arrived(session, study, instance, quiet_seconds)
        return Accepted(instance.study_id, instance.id, new=inserted)

    def _restore(self, session: Transaction, instance: InstanceRow, name: str, size_bytes: int) -> None:
        """The same bytes again: drop the new file, unless the first one has been lost or cut short."""
        if self._spool.holds(instance.file_name, instance.size_bytes):
            self._spool.discard(name)
            return
        instance.file_name = name
        instance.size_bytes = size_bytes
        detail = f"the file of instance {instance.id} was missing and has been received again"
        session.record(EventKind.INSTANCE_RESTORED, instance.study_id, detail)

    def settle_in(self, study_ids: Iterable[int], seconds: float) -> None:
        """Let studies that are still receiving settle so many seconds from now, be it sooner or later.

        Args:
            study_ids: Which; those that are not receiving any more are left alone.
            seconds: When.
        """
        ids = sorted(set(study_ids))
        if not ids:
            return
        with self._transactions.writing() as session:
            receiving = (
                select(StudyRow)
                .where(StudyRow.id.in_(ids), StudyRow.settle_at.is_not(None))
                .order_by(StudyRow.id)  # One order for all, or two receivers could wait for each other.
                .with_for_update()
            )
            for study in session.scalars(receiving):
                study.settle_at = session.now + timedelta(seconds=seconds)
                study.updated_at = session.now

    def settle(self) -> int:
        """Queue every study that has been quiet for long enough; returns how many."""
        settled = 0
        while True:
            with self._transactions.writing() as session:
                set_back = and_(
                    StudyRow.settle_at.is_not(None), clock_set_back(StudyRow.updated_at, session.now)
                )
                quiet = (
                    select(StudyRow)
                    .where(or_(StudyRow.settle_at <= session.now, set_back))
                    .order_by(StudyRow.settle_at, StudyRow.id)
                    .limit(_SETTLE_BATCH)
                    .with_for_update(skip_locked=True)
                )
                studies = session.scalars(quiet).all()
                for study in studies:
                    enqueue(session, study)
            settled += len(studies)
            if len(studies) < _SETTLE_BATCH:
                return settled


def _arrived(session: Transaction, study: StudyRow, instance: InstanceRow, quiet_seconds: float) -> None:
    """Make an instance the newest copy of its image; its study, and the one that had it, settle anew."""
    newest = newest_copy(session, instance.sop_instance_uid)
    if newest is not None and newest.id == instance.id:
        return
    record_arrival(session, instance.id)
    is_known = study.state != StudyState.RECEIVING or study.settle_at is not None
    if is_known and is_own_document(session, instance.sop_instance_uid):
        session.record(EventKind.OWN_OUTPUT_RECEIVED, study.id, f"instance {instance.id}")
        return  # A PACS that sends on all that it gets: there is nothing new to read.
    _await_more(session, study, quiet_seconds)
    session.record(EventKind.INSTANCE_RECEIVED, study.id, f"instance {instance.id}")
    if newest is None:
        return
    detail = f"instance {instance.id} has the UID of instance {newest.id} and other bytes"
    session.record(EventKind.INSTANCE_CONFLICT, study.id, detail)
    if newest.study_id != study.id:
        left = session.get_one(StudyRow, newest.study_id, with_for_update=True)
        _await_more(session, left, quiet_seconds)
        detail = f"instance {newest.id} has come as instance {instance.id} of study {study.id}"
        session.record(EventKind.INSTANCE_MOVED, left.id, detail)


def _await_more(session: Transaction, study: StudyRow, quiet_seconds: float) -> None:
    """Let a study, whose row is locked, wait for more before it is read."""
    study.state = StudyState.RECEIVING
    study.settle_at = session.now + timedelta(seconds=quiet_seconds)
    study.updated_at = session.now


def _check(received: Received) -> None:
    """No value longer than its column, and none that a database or a later report could not hold."""
    for name in (field.name for field in fields(received) if field.name.endswith("_uid")):
        if not is_uid(getattr(received, name)):
            raise NotAcceptable(f"the {name} is not a UID of 1 to {UID_LENGTH} digits and dots")
    if not _AE_TITLE.fullmatch(received.calling_ae_title):
        raise NotAcceptable(f"the calling AE title is not one of up to {AE_TITLE_LENGTH} ASCII characters")


def _find(session: Transaction, received: Received, sha256: str) -> InstanceRow | None:
    return session.scalars(
        select(InstanceRow).where(
            InstanceRow.sop_instance_uid == received.sop_instance_uid, InstanceRow.sha256 == sha256
        )
    ).one_or_none()


def _study_of(session: Transaction, received: Received) -> StudyRow:
    """The study's row, made where it is missing, locked until the end of the transaction.

    Its accession number is that of the image that has just come.
    """
    insert_if_new(
        session,
        StudyRow,
        ["study_instance_uid"],
        study_instance_uid=received.study_instance_uid,
        state=StudyState.RECEIVING,
        received_at=session.now,
        updated_at=session.now,
    )
    study = session.scalars(
        select(StudyRow).where(StudyRow.study_instance_uid == received.study_instance_uid).with_for_update()
    ).one()
    if received.accession_number:
        study.accession_number = received.accession_number
    return study


def _data_set_sha256(path: Path) -> str:
    """SHA-256 of the data set's bytes, in hex: without preamble and file meta information (PS3.10, 7.1).

    Those are the receiver's own and may differ between two copies of the same object.
    """
    with path.open("rb") as file:
        start = file.read(144)
        offset = 0
        if start[128:132] == b"DICM" and start[132:140] == b"\x02\x00\x00\x00UL\x04\x00":
            offset = 144 + int.from_bytes(start[140:144], "little")
        file.seek(offset if offset <= path.stat().st_size else 0)
        return hashlib.file_digest(file, "sha256").hexdigest()
