"""Intake: what is received is filed once, nothing is lost, and quiet studies are queued."""

from __future__ import annotations

import hashlib
from datetime import UTC
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from support.postgresql import PostgreSQL
from support.store import DX, STUDY, Clock, attempts, claim_one, content, new_report, queue_study, receive

from boneage_node.spool import FolderSpool, SpoolFull
from boneage_node.store import Store, StudyState
from boneage_node.traffic.received import NotAcceptable


def events_of(store: Store) -> list[str]:
    return [event.kind for event in store.studies.show(STUDY).events]


def test_files_an_instance_with_all_that_is_known_of_it(store: Store, clock: Clock) -> None:
    accepted = receive(store, data=b"some bytes", calling_ae_title="MODALITY  ")
    assert accepted.new
    study = store.studies.show(accepted.study_id)
    assert (study.study_instance_uid, study.state) == (STUDY, StudyState.RECEIVING)
    (instance,) = study.instances
    assert instance.id == accepted.instance_id
    assert content(instance.file) == b"some bytes"
    assert instance.size_bytes == 10
    assert instance.sha256 == hashlib.sha256(b"some bytes").hexdigest()
    assert (instance.sop_class_uid, instance.calling_ae_title) == (DX, "MODALITY")
    assert instance.received_at == clock.now
    assert instance.received_at.tzinfo is UTC
    assert study.settle_at is not None
    assert (study.settle_at - clock.now).total_seconds() == 10.0


def test_the_same_bytes_again_change_nothing(store: Store) -> None:
    first = receive(store)
    again = receive(store)
    assert again == type(first)(first.study_id, first.instance_id, new=False)
    assert len(list(store.spool.keys())) == 1
    assert events_of(store) == ["instance-received"]


def test_the_hash_is_of_the_data_set_alone(store: Store) -> None:
    def file(preamble: bytes, meta: bytes) -> bytes:
        return (
            preamble * 128 + b"DICM\x02\0\0\0UL\x04\0" + len(meta).to_bytes(4, "little") + meta + b"data set"
        )

    assert receive(store, data=file(b"\0", b"written by 1.0")).new
    assert not receive(store, data=file(b"M", b"written by version 2.0")).new
    assert store.studies.show(STUDY).instances[0].sha256 == hashlib.sha256(b"data set").hexdigest()


def test_a_file_that_lies_about_its_meta_length_is_hashed_whole(store: Store) -> None:
    lie = bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + b"\xff\xff\xff\xff"
    assert receive(store, data=lie + b"one").new
    assert receive(store, data=lie + b"two").new


def test_other_bytes_under_the_same_uid_are_kept_beside_and_noted(store: Store) -> None:
    first = receive(store, data=b"first")
    second = receive(store, data=b"second")
    assert second.new
    assert second.instance_id != first.instance_id
    study = store.studies.show(STUDY)
    assert [content(instance.file) for instance in study.instances] == [b"first", b"second"]
    assert events_of(store) == ["instance-received", "instance-received", "instance-conflict"]
    assert "pixels" not in study.events[-1].detail


def test_the_same_bytes_mend_a_file_that_was_lost(store: Store) -> None:
    first = receive(store)
    store.spool.discard(store.studies.show(STUDY).instances[0].file.key)
    assert not receive(store).new
    (instance,) = store.studies.show(STUDY).instances
    assert instance.id == first.instance_id
    assert content(instance.file) == b"pixels"
    assert events_of(store) == ["instance-received", "instance-restored"]


@pytest.mark.parametrize(
    ("uid", "ae_title"),
    [
        ("1.2.3\0", "PEER"),
        ("../../etc/passwd", "PEER"),
        ("1." * 100 + "1", "PEER"),
        ("", "PEER"),
        ("1.2.3\n", "PEER"),
        ("1.2.٣", "PEER"),
        ("1.2.3", "A\0B"),
        ("1.2.3", "SEVENTEEN LETTERS"),
        ("1.2.3", "\ud800"),
    ],
)
def test_refuses_what_is_no_uid_or_ae_title_and_keeps_no_trace(store: Store, uid: str, ae_title: str) -> None:
    for where in ("instance", "study"):
        with pytest.raises(NotAcceptable) as refusal:
            receive(store, **{where: uid}, calling_ae_title=ae_title)  # type: ignore[arg-type]
        assert not uid or uid not in str(refusal.value)
    assert list(store.spool.keys()) == []
    assert store.studies.list() == []


def test_a_full_spool_refuses_and_keeps_no_trace(store: Store, clock: Clock) -> None:
    full = Store(store.engine, FolderSpool(store.spool.root, reserve_bytes=2**62), clock)
    with pytest.raises(SpoolFull):
        receive(full)
    assert list(store.spool.keys()) == []
    assert store.studies.list() == []


def test_a_database_that_fails_leaves_no_file(store: Store) -> None:
    def fail(connection: object, cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO instances"):
            raise OperationalError(statement, None, Exception("the database has gone"))

    event.listen(store.engine, "before_cursor_execute", fail)
    with pytest.raises(OperationalError):
        receive(store)
    event.remove(store.engine, "before_cursor_execute", fail)
    assert list(store.spool.keys()) == []
    assert receive(store).new


def test_a_commit_that_fails_leaves_the_file_to_the_sweep(store: Store) -> None:
    # The commit may have happened before the connection broke: the file must be there in that case.
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    def fail(_connection: object) -> None:
        if any(statement.startswith("INSERT INTO instances") for statement in statements):
            raise OperationalError("COMMIT", None, Exception("the connection has broken"))

    event.listen(store.engine, "before_cursor_execute", note)
    event.listen(store.engine, "commit", fail)
    with pytest.raises(OperationalError):
        receive(store)
    event.remove(store.engine, "commit", fail)
    assert len(list(store.spool.keys())) == 1
    assert store.sweep_orphans(older_than_seconds=600) == 0
    assert store.sweep_orphans(older_than_seconds=0) == 1


def test_the_sweep_spares_instances_and_reports(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    store.spool.write(b"orphan")
    assert len(list(store.spool.keys())) == 3
    assert store.sweep_orphans(older_than_seconds=0) == 1
    assert len(list(store.spool.keys())) == 2


def test_a_study_settles_after_its_quiet_time_alone(store: Store, clock: Clock) -> None:
    receive(store, instance="1.2.1")
    clock.go_on(8)
    receive(store, instance="1.2.2")
    clock.go_on(8)
    assert store.intake.settle() == 0
    clock.go_on(2)
    assert store.intake.settle() == 1
    assert store.intake.settle() == 0
    assert store.studies.show(STUDY).state == StudyState.QUEUED
    assert store.queue.counts() == {"todo": 1, "doing": 0, "done": 0, "dead": 0}


def test_a_study_settles_when_it_is_told_to(store: Store) -> None:
    here = receive(store)
    elsewhere = receive(store, study="1.2.9", instance="1.2.9.1")
    store.intake.settle_in([here.study_id, here.study_id, 10**6], 0)
    assert store.intake.settle() == 1
    assert store.studies.show(elsewhere.study_id).state == StudyState.RECEIVING
    store.intake.settle_in([], 0)


def test_what_does_not_receive_any_more_is_not_queued_again(store: Store) -> None:
    study_id = queue_study(store)
    store.intake.settle_in([study_id], 0)
    assert store.intake.settle() == 0


def test_more_images_of_a_queued_study_make_no_second_job(store: Store, clock: Clock) -> None:
    queue_study(store)
    receive(store, instance="1.2.2")
    assert store.queue.claim("worker-1", 1, 60, attempts()) == []  # It is receiving again.
    clock.go_on(11)
    assert store.intake.settle() == 1
    assert store.queue.counts()["todo"] == 1
    assert len(claim_one(store).instances) == 2


def test_a_study_does_not_settle_while_an_instance_of_it_is_filed(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    # SQLite has one writer at a time; on PostgreSQL the study's row is locked.
    settled: list[int] = []
    with Store.open(postgresql.new_database(), tmp_path / "spool", reserve_bytes=0) as store:
        receive(store, instance="1.2.1", quiet_seconds=0)

        def settle(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement.startswith("INSERT INTO instances"):
                settled.append(store.intake.settle())

        event.listen(store.engine, "before_cursor_execute", settle)
        receive(store, instance="1.2.2")
        assert settled == [0]
        assert store.studies.show(STUDY).state == StudyState.RECEIVING


def test_settles_more_studies_than_one_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boneage_node.store.intake._SETTLE_BATCH", 2)
    accepted = [receive(store, study=f"1.2.{n}", instance=f"1.2.{n}.1") for n in range(5)]
    store.intake.settle_in([item.study_id for item in accepted], 0)
    assert store.intake.settle() == 5


def test_a_study_settles_though_the_clock_was_set_back(store: Store, clock: Clock) -> None:
    receive(store)
    clock.go_on(-7200)
    assert store.intake.settle() == 1
    assert len(claim_one(store).instances) == 1


def test_clocks_that_are_apart_by_a_second_settle_nothing_early(store: Store, clock: Clock) -> None:
    receive(store)
    clock.go_on(-1)
    assert store.intake.settle() == 0
    clock.go_on(12)
    assert store.intake.settle() == 1


def test_a_clock_that_is_set_forward_makes_no_file_an_orphan(store: Store, clock: Clock) -> None:
    store.spool.write(b"of a report whose commit is still to come")
    assert store.sweep_orphans() == 0
    clock.go_on(2 * 86400)
    assert store.sweep_orphans() == 0
