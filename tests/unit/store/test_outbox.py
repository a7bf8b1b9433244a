"""The outbox: the newest report of every study arrives, or becomes a dead letter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.store import (
    SR,
    STUDY,
    Clock,
    attempts,
    claim_deliveries,
    claim_one,
    content,
    new_report,
    queue_study,
)

from boneage_node.retry import RetryPolicy
from boneage_node.store import DeliveryOutcome, DeliveryTask, Retried, Status, Store
from boneage_node.traffic.document import DocumentForm

HERE = "ARCHIVE@127.0.0.1:104"
THERE = "VIEWER@pacs.example:11112"


def report(
    store: Store,
    uid: str,
    *,
    study: str = STUDY,
    kind: str = "assessment",
    destinations: tuple[str, ...] = (HERE,),
    forms: tuple[DocumentForm, ...] = (DocumentForm.SR,),
) -> None:
    """Read a study, with this report as its outcome."""
    queue_study(store, study, data=uid.encode())
    job = claim_one(store)
    store.queue.complete(job, "worker-1", [new_report(store, job, uid, kind, destinations, forms)])


def claim(
    store: Store,
    destination: str = HERE,
    form: DocumentForm = DocumentForm.SR,
    policy: RetryPolicy | None = None,
) -> list[DeliveryTask]:
    return store.outbox.claim(destination, form, 10, 60, policy or attempts())


def uids(tasks: list[DeliveryTask]) -> list[str]:
    return [task.sop_instance_uid for task in tasks]


def fail(store: Store, task: DeliveryTask, error: str = "refused", *, permanent: bool = False) -> Status:
    return store.outbox.failed(task.id, error, attempts(3, wait_seconds=60), permanent=permanent)


def kinds(store: Store) -> list[str]:
    return [event.kind for event in store.studies.show(STUDY).events if event.kind.startswith("delivery")]


def test_a_task_says_all_that_the_sender_needs(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = claim_deliveries(store)
    assert content(task.file) == b"report 2.25.1"
    assert (task.destination, task.sop_class_uid, task.sop_instance_uid) == (HERE, SR, "2.25.1")
    assert task.attempts == 1
    assert claim_deliveries(store) == []


def test_claims_for_one_destination(store: Store) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    assert store.outbox.routes() == [(HERE, DocumentForm.SR), (THERE, DocumentForm.SR)]
    (task,) = claim(store, THERE)
    assert task.destination == THERE
    assert store.outbox.routes() == [(HERE, DocumentForm.SR)]


def test_what_is_delivered_is_done(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (task,) = claim(store)
    store.outbox.delivered(task.id)
    clock.go_on(3600)
    assert claim(store) == []
    assert store.outbox.counts() == {"todo": 0, "doing": 0, "done": 1, "dead": 0}
    assert kinds(store) == ["delivery-done"]


def test_what_is_newer_waits_only_for_what_is_under_way(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (older,) = claim(store)
    report(store, "2.25.2")
    report(store, "2.25.3", study="1.2.9")
    assert uids(claim(store)) == ["2.25.3"]
    store.outbox.delivered(older.id)
    assert uids(claim(store)) == ["2.25.2"]


def test_what_is_overtaken_is_not_sent_any_more(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    fail(store, claim(store)[0])
    report(store, "2.25.2")
    assert uids(claim(store)) == ["2.25.2"]  # at once, though the older one has not arrived
    clock.go_on(3600)
    assert uids(claim(store)) == ["2.25.2"]
    older, _ = store.studies.show(STUDY).deliveries
    assert (older.status, older.outcome) == (Status.DONE, DeliveryOutcome.SUPERSEDED)
    assert kinds(store) == ["delivery-failed", "delivery-superseded"]
    assert store.studies.list()[0].deliveries == {"superseded": 1, "doing": 1}


@pytest.mark.parametrize("forms", [(), (DocumentForm.PICTURE,)])
def test_what_is_overtaken_is_not_sent_even_where_nothing_is_sent_instead(
    store: Store, forms: tuple[DocumentForm, ...]
) -> None:
    report(store, "2.25.1")
    report(store, "2.25.2", kind="refusal", forms=forms)
    assert claim(store) == []
    assert store.studies.show(STUDY).deliveries[0].outcome is DeliveryOutcome.SUPERSEDED


def test_a_refusal_that_was_said_before_keeps_the_first_one_waiting(store: Store) -> None:
    report(store, "2.25.1", kind="refusal")
    report(store, "2.25.2", kind="refusal", forms=())
    assert uids(claim(store)) == ["2.25.1"]


def test_a_dead_letter_that_is_overtaken_needs_nobody_any_more(store: Store) -> None:
    report(store, "2.25.1")
    fail(store, claim(store)[0], permanent=True)
    report(store, "2.25.2")
    claim(store)
    assert store.outbox.counts()["dead"] == 0
    assert store.studies.retry(STUDY) == Retried()


def test_what_arrived_after_it_was_overtaken_has_arrived(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (lost,) = claim(store)
    report(store, "2.25.2")
    clock.go_on(61)
    assert uids(claim(store)) == ["2.25.2"]
    store.outbox.delivered(lost.id)
    assert store.studies.show(STUDY).deliveries[0].outcome is DeliveryOutcome.DELIVERED


def test_a_picture_does_not_wait_for_a_structured_report(store: Store) -> None:
    report(store, "2.25.1", forms=(DocumentForm.SR, DocumentForm.PICTURE))
    assert store.outbox.routes() == [(HERE, DocumentForm.PICTURE), (HERE, DocumentForm.SR)]
    (under_way,) = claim(store)
    (picture,) = claim(store, form=DocumentForm.PICTURE)
    assert picture.form is DocumentForm.PICTURE
    fail(store, under_way)
    store.outbox.delivered(picture.id)
    assert store.outbox.counts() == {"todo": 1, "doing": 0, "done": 1, "dead": 0}


def test_one_destination_does_not_hold_up_another(store: Store) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    fail(store, claim(store)[0])
    assert uids(claim(store, THERE)) == ["2.25.1"]


def test_what_a_destination_had_to_say_is_kept(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = claim(store)
    store.outbox.delivered(task.id, warning="It coerced elements.", remark="Doe^John")
    (delivery,) = store.studies.show(STUDY).deliveries
    assert (delivery.status, delivery.outcome) == (Status.DONE, DeliveryOutcome.WARNED)
    assert delivery.last_error == "It coerced elements. Doe^John"
    (event,) = [event for event in store.studies.show(STUDY).events if event.kind == "delivery-warned"]
    assert event.detail.endswith("attempt 1: It coerced elements.")


def test_fails_until_it_is_a_dead_letter(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    for expected in (Status.TODO, Status.TODO, Status.DEAD):
        (task,) = claim(store)
        assert fail(store, task, "no answer\0") == expected
        clock.go_on(60)
    assert claim(store) == []
    (delivery,) = store.studies.show(STUDY).deliveries
    assert (delivery.status, delivery.attempts, delivery.last_error) == (Status.DEAD, 3, "no answer\ufffd")
    assert kinds(store) == ["delivery-failed", "delivery-failed", "delivery-dead"]


def test_a_refused_object_is_dead_at_once(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = claim(store)
    assert fail(store, task, permanent=True) == Status.DEAD
    assert claim(store) == []


def test_takes_over_when_the_lease_has_run_out(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (lost,) = claim(store)
    clock.go_on(50)
    store.outbox.extend([lost.id], 60)
    clock.go_on(50)
    assert claim(store) == []
    clock.go_on(11)
    (taken,) = claim(store)
    assert (taken.id, taken.attempts) == (lost.id, 2)


def test_a_delivery_that_kills_its_sender_becomes_a_dead_letter(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    for _ in range(2):
        assert uids(claim(store, policy=attempts(2))) == ["2.25.1"]
        clock.go_on(61)
    assert claim(store, policy=attempts(2)) == []
    assert store.outbox.counts()["dead"] == 1


def test_fewer_attempts_also_hold_for_what_is_waiting(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    fail(store, claim(store)[0])
    clock.go_on(60)
    assert claim(store, policy=attempts(1)) == []
    (delivery,) = store.studies.show(STUDY).deliveries
    assert (delivery.status, delivery.last_error) == (Status.DEAD, "refused")


def test_delivered_is_true_even_after_the_lease(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (lost,) = claim(store)
    clock.go_on(61)
    (taken,) = claim(store)
    store.outbox.delivered(lost.id)
    assert fail(store, taken) == Status.DONE
    store.outbox.delivered(taken.id)
    assert kinds(store) == ["delivery-done"]


def test_what_was_not_tried_is_given_back_uncounted(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = claim(store)
    store.outbox.release([task.id])
    assert claim(store)[0].attempts == 1


def test_a_dead_letter_can_be_retried(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = claim(store)
    fail(store, task, permanent=True)
    assert store.studies.retry(STUDY).deliveries == 1
    assert store.studies.retry(STUDY).deliveries == 0
    (again,) = claim(store)
    assert again.attempts == 1
    assert kinds(store) == ["delivery-dead", "delivery-retried"]


def test_a_retried_dead_letter_waits_for_what_is_under_way(store: Store) -> None:
    report(store, "2.25.1", kind="refusal")
    (first,) = claim(store)
    fail(store, first, permanent=True)
    report(store, "2.25.2", kind="refusal", forms=())
    store.studies.retry(STUDY)
    (again,) = claim(store)
    assert (again.id, again.attempts) == (first.id, 1)
    assert claim(store) == []


def test_what_waits_can_be_hurried(store: Store, clock: Clock) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    for destination in (HERE, THERE):
        fail(store, claim(store, destination)[0])
    assert store.studies.list()[0].next_delivery_at == clock.now + timedelta(seconds=60)
    assert store.studies.retry(STUDY, THERE).deliveries == 1
    assert claim(store) == []
    (hurried,) = claim(store, THERE)
    assert hurried.attempts == 1
    assert store.studies.retry(STUDY, THERE) == Retried()  # it is under way


def test_all_that_a_destination_did_not_get_is_retried_together(store: Store) -> None:
    for number in range(3):
        report(store, f"2.25.{number}", study=f"1.2.{number}", destinations=(HERE, THERE))
        fail(store, claim(store)[0], permanent=number > 0)
        fail(store, claim(store, THERE)[0], permanent=True)
    assert store.studies.retry(destination=HERE).deliveries == 3
    assert uids(claim(store)) == ["2.25.0", "2.25.1", "2.25.2"]
    assert store.outbox.counts()["dead"] == 3
    assert store.studies.retry().deliveries == 3


def test_what_was_delivered_can_be_sent_again(store: Store) -> None:
    report(store, "2.25.1")
    store.outbox.delivered(claim(store)[0].id)
    report(store, "2.25.2", destinations=(HERE, THERE))
    for destination in (HERE, THERE):
        store.outbox.delivered(claim(store, destination)[0].id)
    assert store.studies.retry(STUDY) == Retried()
    assert store.studies.send_again(STUDY, HERE) == 1
    assert uids(claim(store)) == ["2.25.2"]  # not the one that it has overtaken
    assert claim(store, THERE) == []
    assert store.studies.send_again(STUDY) == 1
    assert uids(claim(store, THERE)) == ["2.25.2"]


def test_a_clock_that_is_set_back_holds_no_delivery_up(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    clock.go_on(86400)  # the machine's clock was a day ahead
    assert fail(store, claim(store)[0]) is Status.TODO
    assert claim(store) == []
    clock.go_on(-86400)
    assert [task.attempts for task in claim(store)] == [2]


def test_what_waits_can_be_sent_elsewhere(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    report(store, "2.25.2", study="1.2.9", destinations=(HERE, THERE))
    report(store, "2.25.3", study="1.2.8")
    delivered, waiting, _ = claim(store)
    store.outbox.delivered(delivered.id)
    fail(store, waiting)
    assert store.outbox.undelivered() == {HERE: 1, THERE: 1}
    assert store.studies.redirect(HERE, THERE) == 0  # it goes there anyhow; one has arrived; one is under way
    assert store.outbox.undelivered() == {THERE: 1}
    fail(store, claim(store, THERE)[0], permanent=True)
    assert store.studies.redirect(THERE, "PACS@new:104") == 1
    (moved,) = claim(store, "PACS@new:104")
    assert (moved.sop_instance_uid, moved.attempts) == ("2.25.2", 1)


def test_what_is_sent_elsewhere_and_back_is_lost_nowhere(store: Store) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    assert store.studies.redirect(HERE, HERE) == 0
    assert store.outbox.undelivered() == {HERE: 1, THERE: 1}
    assert store.studies.redirect(HERE, THERE) == 0
    assert store.studies.redirect(THERE, HERE) == 1
    assert store.outbox.undelivered() == {HERE: 1}
    fail(store, claim(store)[0], permanent=True)
    assert store.studies.redirect(HERE, THERE) == 1
    assert uids(claim(store, THERE)) == ["2.25.1"]


def test_what_was_sent_elsewhere_goes_to_a_dead_letters_place(store: Store) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    fail(store, claim(store, THERE)[0], permanent=True)
    assert store.studies.redirect(HERE, THERE) == 1
    assert uids(claim(store, THERE)) == ["2.25.1"]


def test_what_went_elsewhere_is_not_sent_again_where_it_did_not_go(store: Store) -> None:
    report(store, "2.25.1", destinations=(HERE, THERE))
    store.studies.redirect(HERE, THERE)
    store.outbox.delivered(claim(store, THERE)[0].id)
    assert store.studies.send_again(STUDY) == 1
    assert store.outbox.undelivered() == {THERE: 1}
