"""Studies as an operator sees them."""

from __future__ import annotations

import pytest
from support.store import (
    STUDY,
    Clock,
    attempts,
    claim_deliveries,
    claim_one,
    content,
    new_report,
    queue_study,
    receive,
)

from boneage_node.store import NoSuchStudy, Retried, Status, Store, StudyState

HERE = "ARCHIVE@127.0.0.1:104"


def read(store: Store, study: str = STUDY) -> None:
    queue_study(store, study)
    job = claim_one(store)
    store.queue.complete(job, "worker-1", [new_report(store, job, f"{study}.9", to=[HERE])])


def test_finds_a_study_by_id_digits_or_uid(store: Store) -> None:
    study_id = receive(store).study_id
    assert store.studies.show(study_id) == store.studies.show(str(study_id)) == store.studies.show(STUDY)


@pytest.mark.parametrize(
    "study", [7, -1, 2**80, "7", "9" * 40, "1.2.3", "1.2.3\0", "", "²", "x'; --", "\ud800"]
)
def test_says_when_there_is_no_such_study(store: Store, study: int | str) -> None:
    for ask in (store.studies.show, store.studies.retry):
        with pytest.raises(NoSuchStudy):
            ask(study)


def test_finds_a_study_by_its_newest_accession_number(store: Store) -> None:
    study_id = receive(store, accession_number="A123").study_id
    assert store.studies.show("A123").id == study_id
    receive(store, instance=f"{STUDY}.1.2", accession_number="B-Ä/7")
    receive(store, instance=f"{STUDY}.1.3")  # an object without one, such as a capture
    assert store.studies.show("B-Ä/7").id == study_id
    with pytest.raises(NoSuchStudy):
        store.studies.show("A123")
    assert [study.id for study in store.studies.list(accession_number="B-Ä/7")] == [study_id]
    assert store.studies.list(accession_number="A123") == []


def test_a_copy_that_comes_again_brings_its_accession_number_back(store: Store) -> None:
    study_id = receive(store, accession_number="A123").study_id
    receive(store, data=b"put right", accession_number="B456")
    receive(store, accession_number="A123")
    assert store.studies.show("A123").id == study_id


def test_an_accession_number_of_several_studies_names_them(store: Store) -> None:
    ids = [
        receive(store, study=f"1.2.{n}", instance=f"1.2.{n}.1", accession_number="A").study_id for n in (1, 2)
    ]
    with pytest.raises(NoSuchStudy, match=f"name one of {ids[0]}, {ids[1]}"):
        store.studies.show("A")
    assert sorted(study.id for study in store.studies.list(accession_number="A")) == ids


def test_digits_are_an_id_where_there_is_one_else_an_accession_number(store: Store) -> None:
    first = receive(store, study="1.2.1", instance="1.2.1.1", accession_number="20260329001").study_id
    second = receive(store, study="1.2.2", instance="1.2.2.1", accession_number=str(first)).study_id
    assert store.studies.show("20260329001").id == first
    assert store.studies.show(str(first)).id == first
    assert [study.id for study in store.studies.list(accession_number=str(first))] == [second]


def test_lists_why_a_study_was_set_aside(store: Store) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "the decoder crashed", attempts(1))
    assert store.studies.list()[0].problem == "the decoder crashed"
    store.studies.read_again(STUDY)
    assert store.studies.list()[0].problem is None


def test_hands_out_the_file_that_came_last(store: Store) -> None:
    study_id = receive(store).study_id
    receive(store, instance=f"{STUDY}.1.2", data=b"newest")
    assert content(store.studies.newest_files([study_id, 99])[study_id]) == b"newest"


def test_lists_the_latest_first_with_what_came_of_them(store: Store, clock: Clock) -> None:
    read(store)
    clock.go_on(5)
    receive(store, study="1.2.9", instance="1.2.9.1")
    newest, oldest = store.studies.list()
    assert (newest.study_instance_uid, newest.state, newest.result) == ("1.2.9", StudyState.RECEIVING, None)
    assert (newest.instances, newest.deliveries, newest.received_at) == (1, {}, clock.now)
    assert (oldest.state, oldest.deliveries) == (StudyState.REPORTED, {"todo": 1})
    assert oldest.result is not None
    assert oldest.result.bone_age_months == 120.5
    assert store.studies.list(limit=1) == [newest]
    assert store.studies.list(state=StudyState.REPORTED) == [oldest]


def test_counts_every_state(store: Store) -> None:
    assert set(store.studies.counts().values()) == {0}
    read(store)
    assert store.studies.counts()["reported"] == 1
    assert set(store.studies.counts()) == {state.value for state in StudyState}


def test_retrying_a_study_set_aside_reads_it_again(store: Store) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "no", attempts(1))
    assert store.studies.retry(STUDY) == Retried(readings=1)
    assert claim_one(store).attempts == 1


def test_retrying_reads_no_study_that_is_still_coming_in(store: Store, clock: Clock) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "no", attempts(wait_seconds=300))
    receive(store, instance=f"{STUDY}.1.2")
    assert store.studies.retry() == Retried()
    assert store.queue.claim("worker-1", 1, 60, attempts()) == []
    clock.go_on(10)
    assert store.intake.settle() == 1
    assert len(claim_one(store).instances) == 2


def test_retrying_sends_dead_letters_again_without_reading(store: Store) -> None:
    read(store)
    (task,) = claim_deliveries(store)
    store.outbox.failed(task.id, "no", attempts(3), permanent=True)
    assert store.studies.retry(STUDY) == Retried(deliveries=1)
    assert store.queue.counts()["todo"] == 0
    assert store.studies.show(STUDY).deliveries[0].status == Status.TODO


def test_a_reported_study_is_read_again_where_that_is_asked_for(store: Store) -> None:
    read(store)
    assert store.studies.retry(STUDY) == Retried()
    assert store.studies.read_again(STUDY)
    assert not store.studies.read_again(STUDY)
    assert store.studies.show(STUDY).state == StudyState.QUEUED
    assert "study-retried" in [event.kind for event in store.studies.show(STUDY).events]


def test_a_study_on_its_way_is_left_alone(store: Store) -> None:
    nothing = Retried()
    receive(store)
    assert store.studies.retry(STUDY) == nothing
    store.intake.settle_in([store.studies.show(STUDY).id], 0)
    store.intake.settle()
    assert store.studies.retry(STUDY) == nothing
    claim_one(store)
    assert store.studies.retry(STUDY) == nothing
    assert len(store.studies.show(STUDY).jobs) == 1


def test_an_image_left_out_does_not_go_back_to_the_study_it_had_moved_from(
    store: Store, clock: Clock
) -> None:
    receive(store)
    receive(store, study="1.2.9", data=b"moved")
    with pytest.raises(NoSuchStudy):
        store.studies.leave_out(STUDY, f"{STUDY}.1.1")
    store.studies.leave_out("1.2.9", f"{STUDY}.1.1")
    clock.go_on(10)
    store.intake.settle()
    assert [job.instances for job in store.queue.claim("worker-1", 2, 60, attempts())] == [[], []]
