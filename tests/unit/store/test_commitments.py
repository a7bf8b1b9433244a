"""Commitments of what was delivered: requested, given, requested again, delivered again, or given up."""

from __future__ import annotations

import pytest
from support.store import SR, STUDY, Clock, attempts, claim_deliveries, claim_one, new_report, queue_study

from boneage_node.retry import RetryPolicy
from boneage_node.store import CommitmentState, Store
from boneage_node.store.commitments import CommitmentDetail
from boneage_node.store.details import DeliveryDetail
from boneage_node.traffic.commitment import (
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    FailureReason,
    ReferencedSop,
)

HERE = "ARCHIVE@127.0.0.1:104"
THERE = "VIEWER@pacs.example:11112"
WAIT_SECONDS = 600.0
REQUESTS = RetryPolicy(2, WAIT_SECONDS, 32 * WAIT_SECONDS)


def deliver(store: Store, *uids: str, destinations: tuple[str, ...] = (HERE,), ask: bool = True) -> None:
    """Read a study, again and again, and deliver each report."""
    for uid in uids:
        queue_study(store, data=uid.encode())
        job = claim_one(store)
        store.queue.complete(job, "worker-1", [new_report(store, job, uid, to=destinations)])
        deliver_due(store, ask=ask)


def deliver_due(store: Store, *, ask: bool = True) -> int:
    """Deliver what is to be delivered; how many objects that were."""
    count = 0
    while tasks := claim_deliveries(store):
        for task in tasks:
            store.outbox.delivered(task.id, request_commitment=ask)
        count += len(tasks)
    return count


def claim(store: Store, transaction: str = "2.25.900", destination: str = HERE) -> CommitmentRequest | None:
    return store.commitments.claim(destination, 10, transaction, REQUESTS)


def report(
    store: Store,
    *committed: str,
    transaction: str = "2.25.900",
    refused: tuple[str, ...] = (),
    lost: bool = True,
) -> tuple[int, int] | None:
    """Take in a result; how many objects it committed and refused."""
    reason = FailureReason.NO_SUCH_OBJECT_INSTANCE if lost else FailureReason.RESOURCE_LIMITATION
    result = CommitmentResult(
        transaction,
        tuple(ReferencedSop(SR, uid) for uid in committed),
        tuple(FailedReference(ReferencedSop(SR, uid), reason) for uid in refused),
    )
    reported = store.commitments.reported(result, attempts(2))
    return (reported.committed, reported.refused) if reported else None


def deliveries(store: Store) -> list[DeliveryDetail]:
    return store.studies.show(STUDY).deliveries


def commitment(store: Store) -> CommitmentDetail:
    (delivery,) = deliveries(store)
    assert delivery.commitment is not None
    return delivery.commitment


def kinds(store: Store) -> list[str]:
    events = store.studies.show(STUDY).events
    return [event.kind.removeprefix("commitment-") for event in events if event.kind.startswith("commitment")]


def test_nothing_is_asked_unless_requested(store: Store) -> None:
    deliver(store, "2.25.1", ask=False)
    assert store.commitments.destinations() == []
    assert [delivery.commitment for delivery in deliveries(store)] == [None]


def test_one_request_asks_for_all_that_a_destination_got(store: Store) -> None:
    deliver(store, "2.25.1", "2.25.2", destinations=(HERE, THERE))
    assert store.commitments.destinations() == [HERE, THERE]
    request = claim(store)
    assert request is not None
    assert (request.peer, request.references) == (HERE, ((SR, "2.25.1"), (SR, "2.25.2")))
    assert claim(store, "2.25.901") is None
    assert store.commitments.destinations() == [THERE]
    assert report(store, "2.25.1") == (1, 0)
    assert not store.commitments.has_result("2.25.900")
    assert report(store, "2.25.2") == (1, 0)
    assert store.commitments.has_result("2.25.900")
    assert store.commitments.counts() == {
        "to_ask": 2, "asked": 0, "committed": 2, "refused": 0, "unanswered": 0, "unsupported": 0,
    }  # fmt: skip
    assert kinds(store) == ["asked", "asked", "given", "given"]


def test_a_result_of_nobodys_request_changes_nothing(store: Store) -> None:
    deliver(store, "2.25.1")
    claim(store)
    assert report(store, "2.25.1", transaction="2.25.666") is None
    assert report(store, "2.25.2") == (0, 0)
    assert commitment(store).state is CommitmentState.ASKED


def test_without_result_it_is_requested_again_and_given_up_at_last(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    assert claim(store)
    clock.go_on(WAIT_SECONDS - 1)
    assert store.commitments.destinations() == []
    clock.go_on(1)
    assert store.commitments.destinations() == [HERE]
    assert claim(store, "2.25.901")
    clock.go_on(2 * WAIT_SECONDS - 1)
    assert store.commitments.destinations() == []
    clock.go_on(1)
    assert claim(store, "2.25.902") is None
    assert commitment(store).state is CommitmentState.UNANSWERED
    assert store.commitments.destinations() == []
    assert kinds(store) == ["asked", "asked", "unanswered"]


@pytest.mark.parametrize("transaction", ["2.25.900", "2.25.901"])
def test_a_late_result_is_a_result(store: Store, clock: Clock, transaction: str) -> None:
    deliver(store, "2.25.1")
    claim(store)
    clock.go_on(WAIT_SECONDS)
    claim(store, "2.25.901")
    clock.go_on(2 * WAIT_SECONDS)
    claim(store, "2.25.902")
    assert report(store, "2.25.1", transaction=transaction) == (1, 0)
    assert commitment(store).state is CommitmentState.COMMITTED


def test_what_was_given_up_can_be_asked_again_by_hand(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    for attempt in (1, 2):
        claim(store, f"2.25.90{attempt}")
        clock.go_on(2 * WAIT_SECONDS)
    claim(store, "2.25.903")
    retried = store.studies.retry(STUDY)
    assert (retried.commitments, retried.readings, retried.deliveries) == (1, 0, 0)
    assert claim(store, "2.25.904")
    assert commitment(store).attempts == 1


def test_what_is_not_kept_is_delivered_again_until_it_is_a_dead_letter(store: Store) -> None:
    deliver(store, "2.25.1")
    claim(store)
    assert report(store, refused=("2.25.1",)) == (0, 1)
    assert commitment(store).state is CommitmentState.REFUSED
    assert store.commitments.destinations() == []
    assert deliver_due(store) == 1
    assert commitment(store).state is CommitmentState.TO_ASK
    claim(store, "2.25.901")
    assert report(store, refused=("2.25.1",), transaction="2.25.901") == (0, 1)
    (delivery,) = deliveries(store)
    assert (delivery.status, delivery.attempts) == ("dead", 2)
    assert delivery.last_error == (
        f"{HERE} took the object, but says that it does not keep it: it has no such object (0x0112)."
    )
    assert store.studies.retry(STUDY).deliveries == 1
    assert deliver_due(store) == 1
    claim(store, "2.25.902")
    assert report(store, "2.25.1", transaction="2.25.902") == (1, 0)
    assert deliveries(store)[0].last_error is None


def test_a_refusal_of_an_earlier_request_is_passed_over(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    claim(store)
    clock.go_on(WAIT_SECONDS)
    claim(store, "2.25.901")
    assert report(store, refused=("2.25.1",)) == (0, 0)
    assert commitment(store).state is CommitmentState.ASKED


def test_a_destination_that_cannot_tell_now_is_asked_again(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    claim(store)
    assert report(store, refused=("2.25.1",), lost=False) == (0, 1)
    assert deliver_due(store) == 0
    clock.go_on(WAIT_SECONDS)
    assert claim(store, "2.25.901")


def test_a_request_that_does_not_arrive_is_made_again_and_given_up_at_last(
    store: Store, clock: Clock
) -> None:
    deliver(store, "2.25.1")
    claim(store)
    store.commitments.not_requested("2.25.900", "nobody there", REQUESTS)
    assert commitment(store).last_error == "nobody there"
    assert store.commitments.destinations() == []
    clock.go_on(WAIT_SECONDS)
    assert claim(store, "2.25.901")
    store.commitments.not_requested("2.25.901", "nobody there", REQUESTS)
    assert commitment(store).state is CommitmentState.UNANSWERED


def test_a_destination_without_the_service_is_not_requested_again(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    claim(store)
    store.commitments.unsupported("2.25.900", "it takes no storage commitment")
    clock.go_on(100 * WAIT_SECONDS)
    assert store.commitments.destinations() == []
    assert (commitment(store).state, commitment(store).last_error) == (
        CommitmentState.UNSUPPORTED,
        "it takes no storage commitment",
    )
    assert kinds(store) == ["asked", "unsupported"]
    (delivery,) = deliveries(store)
    assert delivery.status == "done"


def test_requests_are_forgotten_only_when_no_result_can_come_any_more(store: Store, clock: Clock) -> None:
    deliver(store, "2.25.1")
    claim(store)
    clock.go_on(80 * 86400)
    store.commitments.sweep()
    assert report(store, "2.25.1") == (1, 0)
    clock.go_on(11 * 86400)
    store.commitments.sweep()
    assert report(store, "2.25.1") is None


def test_nobody_is_asked_of_what_was_redirected_until_it_has_arrived_there(store: Store) -> None:
    deliver(store, "2.25.1")
    study = store.studies.list()[0].id
    assert store.studies.send_again(study) == 1
    assert store.studies.redirect(HERE, "https://pacs.example/dicom-web") == 1
    assert store.commitments.destinations() == []
    assert deliver_due(store, ask=False) == 1
    assert store.commitments.destinations() == []
    assert [each.commitment for each in store.studies.show(study).deliveries] == [None]
