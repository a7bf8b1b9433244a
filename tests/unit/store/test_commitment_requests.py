"""Requests of peers for storage commitment: kept, reported truthfully, reported again, or given up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from support.store import DX, SR, STUDY, Clock, attempts, receive

from boneage_node.spool import SpoolFull
from boneage_node.store import Status, Store
from boneage_node.store import commitment_requests as room
from boneage_node.traffic.commitment import CommitmentRequest, FailureReason, ReferencedSop, TooManyRequests

INSTANCE = f"{STUDY}.1.1"


def accept(store: Store, *instances: tuple[str, str], transaction: str = "2.25.900") -> CommitmentRequest:
    references = tuple(ReferencedSop(*instance) for instance in instances)
    return store.commitment_requests.accept(CommitmentRequest("MODALITY", transaction, references))


def file_of(store: Store) -> Path:
    return store.spool.path(store.studies.show(STUDY).instances[0].file.key)


def not_kept(store: Store, *instances: tuple[str, str]) -> list[int | None]:
    result = store.commitment_requests.make_result(accept(store, *instances))
    return [failure.reason for failure in result.failed]


def test_what_is_there_in_full_is_committed(store: Store) -> None:
    receive(store)
    result = store.commitment_requests.make_result(accept(store, (DX, INSTANCE)))
    assert (result.transaction_uid, result.committed, result.failed) == ("2.25.900", ((DX, INSTANCE),), ())


def test_what_never_came_is_of_another_class_or_lost_is_not(store: Store) -> None:
    receive(store)
    assert not_kept(store, (DX, "1.2.3")) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]
    assert not_kept(store, (SR, INSTANCE)) == [FailureReason.CLASS_INSTANCE_CONFLICT]
    file_of(store).write_bytes(b"pix")
    assert not_kept(store, (DX, INSTANCE)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]
    file_of(store).unlink()
    assert not_kept(store, (DX, INSTANCE)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]


@pytest.mark.parametrize("cut_short", [True, False])
def test_what_was_lost_is_committed_once_it_came_again(store: Store, cut_short: bool) -> None:
    receive(store)
    if cut_short:
        file_of(store).write_bytes(b"pix")
    else:
        file_of(store).unlink()
    receive(store)
    assert not_kept(store, (DX, INSTANCE)) == []


def test_of_two_objects_under_one_uid_both_must_be_there(store: Store) -> None:
    receive(store)
    receive(store, data=b"other pixels")
    assert not_kept(store, (DX, INSTANCE)) == []
    file_of(store).unlink()
    assert not_kept(store, (DX, INSTANCE)) == [FailureReason.NO_SUCH_OBJECT_INSTANCE]


def test_many_references_are_looked_up(store: Store) -> None:
    receive(store)
    unknown = [(DX, f"1.2.{number}") for number in range(1999)]
    result = store.commitment_requests.make_result(accept(store, *unknown, (DX, INSTANCE)))
    assert (len(result.committed), len(result.failed)) == (1, 1999)


def test_a_result_that_arrived_is_in_the_history(store: Store) -> None:
    receive(store)
    request = accept(store, (DX, INSTANCE), (DX, "1.2.3"))
    assert store.commitment_requests.peers() == ["MODALITY"]
    store.commitment_requests.result_sent(request.id, store.commitment_requests.make_result(request))
    assert store.commitment_requests.peers() == []
    assert store.commitment_requests.counts() == {"todo": 0, "doing": 0, "done": 1, "dead": 0}
    last = store.studies.show(STUDY).events[-1]
    assert (last.kind, last.detail) == (
        "commitment-answered",
        "told MODALITY that 1 of its images are kept",
    )


def test_nobody_else_reports_while_the_caller_does(store: Store, clock: Clock) -> None:
    request = CommitmentRequest("MODALITY", "2.25.900", (ReferencedSop(DX, INSTANCE),))
    store.commitment_requests.accept(request, due_in_seconds=30)
    assert store.commitment_requests.peers() == []
    assert store.commitment_requests.claim("MODALITY", 60, attempts()) is None
    clock.go_on(30)
    claimed = store.commitment_requests.claim("MODALITY", 60, attempts())
    assert claimed is not None
    assert (claimed.references, claimed.attempts) == (((DX, INSTANCE),), 1)
    assert store.commitment_requests.claim("MODALITY", 60, attempts()) is None
    clock.go_on(60)
    assert store.commitment_requests.claim("MODALITY", 60, attempts()) is not None, "the process died"


def test_a_result_that_does_not_arrive_is_sent_again_and_given_up(store: Store, clock: Clock) -> None:
    request = accept(store, (DX, INSTANCE))
    requests = store.commitment_requests

    def fail() -> Status:
        assert requests.claim("MODALITY", 60, attempts())
        return requests.failed(request.id, "nobody there", attempts(2, wait_seconds=60))

    assert fail() is Status.TODO
    assert requests.peers() == []
    clock.go_on(60)
    assert fail() is Status.DEAD
    clock.go_on(3600)
    assert requests.peers() == []
    assert requests.counts()["dead"] == 1


def test_a_request_that_kills_its_process_is_given_up(store: Store, clock: Clock) -> None:
    accept(store, (DX, INSTANCE))
    for _ in range(2):
        assert store.commitment_requests.claim("MODALITY", 60, attempts(2))
        clock.go_on(61)
    assert store.commitment_requests.claim("MODALITY", 60, attempts(2)) is None
    assert store.commitment_requests.counts()["dead"] == 1


def test_the_same_request_again_is_reported_again(store: Store) -> None:
    first = accept(store, (DX, INSTANCE))
    store.commitment_requests.result_sent(first.id, store.commitment_requests.make_result(first))
    again = accept(store, (DX, INSTANCE))
    assert again.id == first.id
    assert store.commitment_requests.peers() == ["MODALITY"]


def test_a_peer_cannot_fill_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_OPEN_REQUESTS", 2)
    for number in range(2):
        accept(store, (DX, INSTANCE), transaction=f"2.25.{number}")
    with pytest.raises(TooManyRequests):
        accept(store, (DX, INSTANCE))
    store.commitment_requests.failed(1, "", attempts(1, wait_seconds=60), permanent=True)
    accept(store, (DX, INSTANCE))


def test_no_request_is_taken_on_a_full_disk(store: Store) -> None:
    store.spool.reserve_bytes = 2**60
    with pytest.raises(SpoolFull):
        accept(store, (DX, INSTANCE))


def test_finished_requests_are_forgotten(store: Store, clock: Clock) -> None:
    done, open_ = accept(store, (DX, INSTANCE), transaction="2.25.1"), accept(store, (DX, INSTANCE))
    store.commitment_requests.result_sent(done.id, store.commitment_requests.make_result(done))
    clock.go_on(timedelta(days=31).total_seconds())
    store.commitment_requests.sweep()
    assert store.commitment_requests.counts() == {"todo": 1, "doing": 0, "done": 0, "dead": 0}
    claimed = store.commitment_requests.claim("MODALITY", 60, attempts())
    assert claimed is not None
    assert claimed.id == open_.id
