"""The outbox: every report arrives, in its study's order, or becomes a dead letter."""

from __future__ import annotations

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

from boneage_node.store import DeliveryTask, Status, Store

HERE = "ARCHIVE@127.0.0.1:104"
THERE = "VIEWER@pacs.example:11112"


def report(store: Store, *uids: str, study: str = STUDY, destinations: tuple[str, ...] = (HERE,)) -> None:
    """Read a study, with these reports as its outcome."""
    queue_study(store, study, data=b"".join(uid.encode() for uid in uids))
    job = claim_one(store)
    store.queue.complete(job, "worker-1", [new_report(store, job, uid, to=destinations) for uid in uids])


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
    assert store.outbox.destinations() == sorted([HERE, THERE])
    (task,) = store.outbox.claim(THERE, 10, 60, attempts())
    assert task.destination == THERE
    assert store.outbox.destinations() == [HERE]


def test_what_is_delivered_is_done(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (task,) = store.outbox.claim(HERE, 10, 60, attempts())
    store.outbox.delivered([task.id])
    clock.go_on(3600)
    assert store.outbox.claim(HERE, 10, 60, attempts()) == []
    assert store.outbox.counts() == {"todo": 0, "doing": 0, "done": 1, "dead": 0}
    assert kinds(store) == ["delivery-done"]


def test_a_study_is_delivered_in_order_and_others_beside_it(store: Store, clock: Clock) -> None:
    report(store, "2.25.1", "2.25.2")
    report(store, "2.25.3", study="1.2.9")
    first = store.outbox.claim(HERE, 10, 60, attempts())
    assert uids(first) == ["2.25.1", "2.25.3"]
    fail(store, first[0])
    store.outbox.delivered([first[1].id])
    assert (
        store.outbox.claim(HERE, 10, 60, attempts()) == []
    )  # The second waits for the first, even while that waits.
    clock.go_on(60)
    (again,) = store.outbox.claim(HERE, 10, 60, attempts())
    assert again.sop_instance_uid == "2.25.1"
    store.outbox.delivered([again.id])
    assert uids(store.outbox.claim(HERE, 10, 60, attempts())) == ["2.25.2"]


def test_one_destination_does_not_hold_up_another(store: Store) -> None:
    report(store, "2.25.1", "2.25.2", destinations=(HERE, THERE))
    fail(store, store.outbox.claim(HERE, 10, 60, attempts())[0])
    (first,) = store.outbox.claim(THERE, 10, 60, attempts())
    store.outbox.delivered([first.id])
    assert uids(store.outbox.claim(THERE, 10, 60, attempts())) == ["2.25.2"]


def test_fails_until_it_is_a_dead_letter(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    for expected in (Status.TODO, Status.TODO, Status.DEAD):
        (task,) = store.outbox.claim(HERE, 10, 60, attempts())
        assert fail(store, task, "no answer\0") == expected
        clock.go_on(60)
    assert store.outbox.claim(HERE, 10, 60, attempts()) == []
    (delivery,) = store.studies.show(STUDY).deliveries
    assert (delivery.status, delivery.attempts, delivery.last_error) == (Status.DEAD, 3, "no answer\ufffd")
    assert kinds(store) == ["delivery-failed", "delivery-failed", "delivery-dead"]


def test_a_refused_object_is_dead_at_once_and_holds_nobody_up(store: Store) -> None:
    report(store, "2.25.1", "2.25.2")
    (task,) = store.outbox.claim(HERE, 10, 60, attempts())
    assert fail(store, task, permanent=True) == Status.DEAD
    assert uids(store.outbox.claim(HERE, 10, 60, attempts())) == ["2.25.2"]


def test_takes_over_when_the_lease_has_run_out(store: Store, clock: Clock) -> None:
    report(store, "2.25.1", "2.25.2")
    (lost,) = store.outbox.claim(HERE, 10, 60, attempts())
    clock.go_on(50)
    store.outbox.extend([lost.id], 60)
    clock.go_on(50)
    assert store.outbox.claim(HERE, 10, 60, attempts()) == []
    clock.go_on(11)
    (taken,) = store.outbox.claim(HERE, 10, 60, attempts())
    assert (taken.id, taken.attempts) == (lost.id, 2)


def test_a_delivery_that_kills_its_sender_becomes_a_dead_letter(store: Store, clock: Clock) -> None:
    report(store, "2.25.1", "2.25.2")
    for _ in range(2):
        assert uids(store.outbox.claim(HERE, 10, 60, attempts(2))) == ["2.25.1"]
        clock.go_on(61)
    assert uids(store.outbox.claim(HERE, 10, 60, attempts(2))) == ["2.25.2"]
    assert store.outbox.counts()["dead"] == 1


def test_fewer_attempts_also_hold_for_what_is_waiting(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    fail(store, store.outbox.claim(HERE, 10, 60, attempts())[0])
    clock.go_on(60)
    assert store.outbox.claim(HERE, 10, 60, attempts(1)) == []
    (delivery,) = store.studies.show(STUDY).deliveries
    assert (delivery.status, delivery.last_error) == (Status.DEAD, "refused")


def test_delivered_is_true_even_after_the_lease(store: Store, clock: Clock) -> None:
    report(store, "2.25.1")
    (lost,) = store.outbox.claim(HERE, 10, 60, attempts())
    clock.go_on(61)
    (taken,) = store.outbox.claim(HERE, 10, 60, attempts())
    store.outbox.delivered([lost.id])
    assert fail(store, taken) == Status.DONE
    store.outbox.delivered([taken.id])
    assert kinds(store) == ["delivery-done"]


def test_what_was_not_tried_is_given_back_uncounted(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = store.outbox.claim(HERE, 10, 60, attempts())
    store.outbox.release([task.id])
    assert store.outbox.claim(HERE, 10, 60, attempts())[0].attempts == 1


def test_a_dead_letter_can_be_retried(store: Store) -> None:
    report(store, "2.25.1")
    (task,) = store.outbox.claim(HERE, 10, 60, attempts())
    fail(store, task, permanent=True)
    assert store.studies.retry(STUDY).deliveries == 1
    assert store.studies.retry(STUDY).deliveries == 0
    (again,) = store.outbox.claim(HERE, 10, 60, attempts())
    assert again.attempts == 1
    assert kinds(store) == ["delivery-dead", "delivery-retried"]


def test_a_retried_dead_letter_waits_for_what_is_under_way(store: Store) -> None:
    report(store, "2.25.1", "2.25.2")
    (first,) = store.outbox.claim(HERE, 10, 60, attempts())
    fail(store, first, permanent=True)
    (second,) = store.outbox.claim(HERE, 10, 60, attempts())
    store.studies.retry(STUDY)
    assert store.outbox.claim(HERE, 10, 60, attempts()) == []
    store.outbox.failed(second.id, "no", attempts(3))
    assert uids(store.outbox.claim(HERE, 10, 60, attempts())) == ["2.25.1"]
