"""The queue: every study is read, by one worker at a time, and ends in a report or a dead letter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import StatementError
from support.store import (
    SR,
    STUDY,
    Clock,
    attempts,
    claim_one,
    content,
    new_report,
    queue_study,
    receive,
)

from boneage_node.store import Job, LeaseLost, NewDocument, NewReport, ReportKind, Status, Store, StudyState
from boneage_node.store.tables import JobRow
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result, ResultStatus

HERE = "ARCHIVE@127.0.0.1:104"


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.studies.show(STUDY).events]


def state(store: Store) -> StudyState:
    return store.studies.show(STUDY).state


def queue_more(store: Store, clock: Clock) -> None:
    """Another image of the study arrives and the study settles again."""
    receive(store, instance=f"{STUDY}.1.2", data=b"more")
    clock.go_on(11)
    assert store.intake.settle() == 1


def test_a_claimed_job_names_the_files_to_read(store: Store, clock: Clock) -> None:
    receive(store, instance="1.2.1", data=b"first")
    receive(store, instance="1.2.2", data=b"second")
    clock.go_on(10)
    store.intake.settle()
    job = claim_one(store)
    assert (job.study_instance_uid, job.attempts) == (STUDY, 1)
    assert store.studies.show(STUDY).jobs[0].leased_until == clock.now + timedelta(seconds=60)
    assert [content(instance.file) for instance in job.instances] == [b"first", b"second"]
    assert state(store) == StudyState.READING


def test_a_claimed_job_is_nobody_elses(store: Store) -> None:
    queue_study(store)
    claim_one(store)
    assert store.queue.claim("worker-2", 10, 60, attempts()) == []


def test_claims_the_oldest_up_to_the_limit(store: Store, clock: Clock) -> None:
    for number in range(3):
        queue_study(store, f"1.2.{number}")
        clock.go_on(1)
    first = store.queue.claim("worker-1", 2, 60, attempts())
    assert [job.study_instance_uid for job in first] == ["1.2.0", "1.2.1"]
    assert [job.study_instance_uid for job in store.queue.claim("worker-2", 2, 60, attempts())] == ["1.2.2"]


def test_completing_stores_reports_and_deliveries(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store)
    report = new_report(store, job, to=[HERE, "OTHER@pacs:104", HERE])
    store.queue.complete(job, "worker-1", [report])
    study = store.studies.show(STUDY)
    assert study.state == StudyState.REPORTED
    (stored,) = study.reports
    (document,) = stored.documents
    assert document == stored.document(DocumentForm.SR)
    assert content(document.file) == b"report 2.25.1"
    assert (document.sop_class_uid, document.sop_instance_uid) == (SR, "2.25.1")
    assert (stored.kind, stored.result) == (ReportKind.ASSESSMENT, report.result)
    assert [delivery.destination for delivery in study.deliveries] == [HERE, "OTHER@pacs:104"]
    (done,) = study.jobs
    assert (done.status, done.finished_at, done.leased_until) == (Status.DONE, clock.now, None)
    assert kinds(store) == ["instance-received", "study-queued", "study-reported"]


def test_a_refusal_without_a_file_is_stored_and_not_sent(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    result = Result("image.dcm", None, ResultStatus.REFUSED, "not-a-hand")
    refusal = NewReport(None, ReportKind.REFUSAL, "2.25.1", result)
    store.queue.complete(job, "worker-1", [refusal])
    study = store.studies.show(STUDY)
    assert study.state == StudyState.REFUSED
    assert study.reports[0].documents == []
    assert study.deliveries == []


def test_the_same_reading_again_is_not_sent_a_second_time(store: Store) -> None:
    queue_study(store)
    for _ in range(2):
        job = claim_one(store)
        store.queue.complete(job, "worker-1", [new_report(store, job, to=[HERE])])
        store.studies.read_again(STUDY)
    study = store.studies.show(STUDY)
    assert (len(study.reports), len(study.deliveries)) == (1, 1)
    assert len(list(store.spool.keys())) == 2  # The instance and one report.


def test_completing_is_all_or_nothing(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    good = new_report(store, job, to=[HERE])
    result = Result("image.dcm", None, ResultStatus.ASSESSED, z_score=float("nan"))
    not_json = NewReport(job.instances[0].id, ReportKind.ASSESSMENT, "2.25.2", result)
    with pytest.raises((ValueError, StatementError), match="JSON compliant"):
        store.queue.complete(job, "worker-1", [good, not_json])
    study = store.studies.show(STUDY)
    assert (study.state, study.reports, study.deliveries) == (StudyState.READING, [], [])
    store.queue.complete(job, "worker-1", [good])


@pytest.mark.parametrize(("outcomes", "destination"), [(0, HERE), (1, "A@" + "h" * 300 + ":104")])
def test_refuses_to_end_in_silence_or_to_nowhere(store: Store, outcomes: int, destination: str) -> None:
    queue_study(store)
    job = claim_one(store)
    with pytest.raises(ValueError):
        store.queue.complete(job, "worker-1", [new_report(store, job, to=[destination])] * outcomes)
    assert state(store) == StudyState.READING


def test_a_report_that_could_not_be_sent_is_none() -> None:
    with pytest.raises(ValueError, match="report"):
        NewReport(None, ReportKind.ASSESSMENT, "2.25.x", Result("image.dcm", None, ResultStatus.ASSESSED))


@pytest.mark.parametrize(
    ("sop_class_uid", "sop_instance_uid"),
    [(None, "2.25.1"), (SR, None), (SR, "2.25.x"), ("1." * 40, "2.25.1")],
)
def test_a_dicom_document_that_could_not_be_sent_is_none(
    sop_class_uid: str | None, sop_instance_uid: str | None
) -> None:
    with pytest.raises(ValueError, match="SOP"):
        NewDocument(DocumentForm.SR, "name.dcm", [HERE], sop_class_uid, sop_instance_uid)


def lose(store: Store, clock: Clock) -> tuple[Job, Job]:
    """A job whose lease ran out, as its first worker knows it and as its second does."""
    queue_study(store)
    lost = claim_one(store)
    clock.go_on(61)
    # Restarted under the same name: the attempt tells them apart.
    return lost, claim_one(store)


def test_takes_over_when_the_lease_has_run_out(store: Store, clock: Clock) -> None:
    lost, taken = lose(store, clock)
    assert (taken.id, taken.attempts) == (lost.id, 2)
    assert kinds(store)[-1] == "job-taken-over"


def test_who_lost_the_lease_can_end_nothing(store: Store, clock: Clock) -> None:
    lost, taken = lose(store, clock)
    with pytest.raises(LeaseLost):
        store.queue.complete(lost, "worker-1", [new_report(store, lost, to=[HERE])])
    with pytest.raises(LeaseLost):
        store.queue.fail(lost, "worker-1", "too late", attempts(3))
    with pytest.raises(LeaseLost):
        store.queue.release(lost, "worker-1")
    assert store.studies.show(STUDY).reports == []
    store.queue.complete(taken, "worker-1", [new_report(store, taken, to=[HERE])])
    with pytest.raises(LeaseLost):
        store.queue.complete(taken, "worker-1", [new_report(store, taken, to=[HERE])])


def test_a_late_worker_whose_job_nobody_took_may_still_complete(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store)
    clock.go_on(1000)
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    assert state(store) == StudyState.REPORTED


def test_a_heartbeat_keeps_the_lease(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store)
    clock.go_on(50)
    assert store.queue.extend([job.id, 999], "worker-1", 60) == [job.id]
    clock.go_on(50)
    assert store.queue.claim("worker-2", 1, 60, attempts()) == []
    clock.go_on(11)
    assert len(store.queue.claim("worker-2", 1, 60, attempts())) == 1
    assert store.queue.extend([job.id], "worker-1", 60) == []


def test_a_released_job_is_due_at_once_and_not_counted(store: Store) -> None:
    queue_study(store)
    store.queue.release(claim_one(store), "worker-1")
    assert state(store) == StudyState.QUEUED
    assert claim_one(store, "worker-2").attempts == 1


def test_a_failure_is_tried_again_after_the_backoff(store: Store, clock: Clock) -> None:
    queue_study(store)
    status = store.queue.fail(claim_one(store), "worker-1", "out of memory", attempts(3, wait_seconds=60))
    assert status == Status.TODO
    (job,) = store.studies.show(STUDY).jobs
    assert (job.last_error, job.worker, job.leased_until) == ("out of memory", None, None)
    clock.go_on(59)
    assert store.queue.claim("worker-1", 1, 60, attempts()) == []
    clock.go_on(1)
    assert claim_one(store).attempts == 2


def test_the_last_failure_sets_the_study_aside(store: Store) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "first", attempts(2))
    status = store.queue.fail(claim_one(store), "worker-1", "last", attempts(2))
    assert status == Status.DEAD
    assert store.queue.counts()["dead"] == 1
    assert state(store) == StudyState.SET_ASIDE
    assert kinds(store)[-3:] == ["job-failed", "job-failed", "study-set-aside"]
    assert store.queue.claim("worker-1", 1, 60, attempts()) == []


def test_a_study_that_kills_its_workers_is_set_aside(store: Store, clock: Clock) -> None:
    queue_study(store)
    for attempt in (1, 2):
        (job,) = store.queue.claim("worker-1", 1, 60, attempts(2))
        assert job.attempts == attempt
        clock.go_on(61)
    assert store.queue.claim("worker-1", 1, 60, attempts(2)) == []
    study = store.studies.show(STUDY)
    assert study.state == StudyState.SET_ASIDE
    assert "died while reading it" in (study.jobs[0].last_error or "")


@pytest.mark.parametrize(
    "error", ["with a \0 in it", "a lone \ud800 surrogate", "x" * 10_000, "größer ☢ \U0001f9b4"]
)
def test_any_error_text_can_be_written_down(store: Store, error: str) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", error, attempts(3))
    stored = store.studies.show(STUDY).jobs[0].last_error
    assert stored == error.replace("\0", "\ufffd").replace("\ud800", "?")[:2000]


def test_any_worker_name_works(store: Store) -> None:
    queue_study(store)
    name = "wörker\0" * 40
    job = claim_one(store, name)
    assert store.queue.extend([job.id], name, 60) == [job.id]
    store.queue.complete(job, name, [new_report(store, job)])


def test_results_keep_every_character(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    result = Result("größer ☢ \U0001f9b4 \0", None, ResultStatus.REFUSED, z_score=1.5)
    store.queue.complete(job, "worker-1", [NewReport(None, ReportKind.REFUSAL, "2.25.1", result)])
    assert store.studies.show(STUDY).reports[0].result == result


def test_images_that_come_during_the_reading_are_read_after_it(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store, lease_seconds=3600)
    queue_more(store, clock)
    assert store.queue.claim("worker-2", 10, 60, attempts()) == []  # Never two at one study.
    assert state(store) == StudyState.QUEUED
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    assert state(store) == StudyState.QUEUED
    second = claim_one(store)
    assert len(second.instances) == 2
    store.queue.complete(second, "worker-1", [new_report(store, second, "2.25.2")])
    assert state(store) == StudyState.REPORTED
    assert len(store.studies.show(STUDY).reports) == 2


def test_a_study_receiving_when_its_job_ends_stays_receiving(store: Store) -> None:
    queue_study(store)
    job = claim_one(store)
    receive(store, instance=f"{STUDY}.1.2", data=b"more")
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    assert state(store) == StudyState.RECEIVING
    assert store.studies.show(STUDY).settle_at is not None


def test_a_failed_job_takes_the_place_of_one_queued_meanwhile(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store, lease_seconds=3600)
    queue_more(store, clock)
    store.queue.fail(job, "worker-1", "no", attempts(3))
    assert store.queue.counts() == {"todo": 1, "doing": 0, "done": 0, "dead": 0}
    again = claim_one(store)
    assert (again.id, again.attempts, len(again.instances)) == (job.id, 2, 2)


def test_a_dead_job_leaves_one_queued_meanwhile_alone(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store, lease_seconds=3600)
    queue_more(store, clock)
    assert store.queue.fail(job, "worker-1", "no", attempts(1)) == Status.DEAD
    assert state(store) == StudyState.QUEUED
    assert len(claim_one(store).instances) == 2


def test_more_images_bring_a_waiting_retry_forward(store: Store, clock: Clock) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "no", attempts(3, wait_seconds=18000))
    queue_more(store, clock)
    assert claim_one(store).attempts == 2


def test_the_database_itself_forbids_two_workers_on_one_study(store: Store, clock: Clock) -> None:
    queue_study(store)
    claim_one(store, lease_seconds=3600)
    queue_more(store, clock)
    with pytest.raises(Exception, match=r"(?i)unique"), store.engine.begin() as connection:
        connection.execute(update(JobRow).values(status=Status.DOING))


DAY_SECONDS = 86400.0


def test_a_clock_that_is_set_back_holds_no_job_up(store: Store, clock: Clock) -> None:
    queue_study(store)
    job = claim_one(store)
    assert store.queue.fail(job, "worker-1", "it crashed", attempts(3, 3600)) is Status.TODO
    clock.go_on(-300)
    assert store.queue.claim("worker-1", 1, 60, attempts()) != [], "set back behind the failure"


def test_a_clock_that_is_set_back_a_little_delays_by_no_more_than_that(store: Store, clock: Clock) -> None:
    queue_study(store)
    store.queue.fail(claim_one(store), "worker-1", "it crashed", attempts(3, 100))
    clock.go_on(-50)
    assert store.queue.claim("worker-1", 1, 60, attempts()) == []
    clock.go_on(150)
    assert len(store.queue.claim("worker-1", 1, 60, attempts())) == 1


def test_a_lease_of_a_day_that_has_not_come_yet_is_over(store: Store, clock: Clock) -> None:
    queue_study(store)
    clock.go_on(DAY_SECONDS)
    claim_one(store)  # and its worker dies
    clock.go_on(-DAY_SECONDS)
    assert claim_one(store, "worker-2").attempts == 2


def test_a_reading_whose_last_lease_ran_out_too_early_counts_all_the_same(store: Store, clock: Clock) -> None:
    queue_study(store)
    (job,) = store.queue.claim("worker-1", 1, 60, attempts(1))
    clock.go_on(DAY_SECONDS)  # set forward, or the machine was suspended
    assert store.queue.claim("worker-2", 1, 60, attempts(1)) == []
    assert store.studies.show(STUDY).state == StudyState.SET_ASIDE
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    assert store.studies.show(STUDY).state == StudyState.REPORTED
    assert store.queue.counts() == {"todo": 0, "doing": 0, "done": 1, "dead": 0}


def test_a_job_put_off_for_the_node_s_own_trouble_costs_no_attempt(store: Store, clock: Clock) -> None:
    queue_study(store)
    policy = attempts(2, 30)
    for _ in range(5):
        (job,) = store.queue.claim("worker-1", 1, 60, policy)
        assert job.attempts == 1
        store.queue.put_off(job, "worker-1", "the disk is full", policy)
        assert store.queue.claim("worker-1", 1, 60, policy) == []
        assert store.queue.troubles() == {"the disk is full": 1}
        clock.go_on(30)
    shown = store.studies.show(STUDY)
    assert shown.state == StudyState.QUEUED
    assert [event.kind for event in shown.events].count("job-put-off") == 1, "said once in a row"
    job = claim_one(store)
    store.queue.complete(job, "worker-1", [new_report(store, job)])
    assert store.queue.troubles() == {}


def test_a_failure_of_the_study_itself_is_no_trouble_of_the_node(store: Store, clock: Clock) -> None:
    queue_study(store)
    store.queue.put_off(claim_one(store), "worker-1", "the disk is full", attempts(3))
    store.queue.fail(claim_one(store), "worker-1", "ValueError", attempts(3, wait_seconds=60))
    assert store.queue.troubles() == {}
    (job,) = store.studies.show(STUDY).jobs
    assert (job.last_error, job.put_off) == ("ValueError", 0)


def test_what_a_worker_was_at_when_the_database_went_away_costs_no_attempt(store: Store) -> None:
    for number in range(2):
        queue_study(store, f"{STUDY}.{number}")
    store.queue.claim("worker-1", 2, 60, attempts())
    store.queue.put_off_all("worker-2", "the database was away", attempts())
    assert store.queue.counts()["doing"] == 2
    store.queue.put_off_all("worker-1", "the database was away", attempts())
    assert [job.attempts for job in store.queue.claim("worker-2", 2, 60, attempts())] == [1, 1]
