"""The worker's care for a queue: batches, what fails in them, and what kills workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from support.store import Clock, queue_study

from boneage_node.bone_age import Answer, Hand, Refusal
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.reading.reporter import Reporter
from boneage_node.reading.settings import ReadingSettings, ReportSettings
from boneage_node.reading.worker import Worker
from boneage_node.retry import RetryPolicy
from boneage_node.store import Store

HANDS = ("girl-08y-dx.dcm", "boy-09y-dx-right.dcm", "boy-15y-cr.dcm")


class OnGpu:
    """The model as if it were on a GPU, hence given batches; and what it was given.

    Args:
        predictor: The model.
        fault: Called with each batch before it is assessed; may raise.
    """

    device = torch.device("cuda:0")

    def __init__(self, predictor: Predictor, fault: Callable[[Sequence[Hand]], None]) -> None:
        self.identity = predictor.identity
        self.batches: list[int] = []
        self.finds = 0
        self._predictor = predictor
        self._fault = fault

    def find(self, pixels: Grey) -> FoundHand | Refusal:
        self.finds += 1
        return self._predictor.find(pixels)

    def assess(self, hands: Sequence[Hand], found: Sequence[FoundHand]) -> list[Answer]:
        self.batches.append(len(hands))
        self._fault(hands)
        return self._predictor.assess(hands, found)


@pytest.fixture
def studies(store: Store, sample_dicom: Path) -> list[str]:
    """Study Instance UIDs of three hands that are queued."""
    uids = [f"1.2.3.{number}" for number in range(len(HANDS))]
    for uid, name in zip(uids, HANDS, strict=True):
        queue_study(store, uid, (sample_dicom / name).read_bytes())
    return uids


def make_worker(
    store: Store, predictor: Predictor, fault: Callable[[Sequence[Hand]], None] = lambda hands: None
) -> tuple[Worker, OnGpu]:
    on_gpu = OnGpu(predictor, fault)
    return worker_of(store, on_gpu, ReportSettings()), on_gpu


def worker_of(store: Store, predictor: OnGpu, report: ReportSettings) -> Worker:
    reporter = Reporter(report, store, "BONEAGE", DeliverySettings(send_to=["PACS@pacs:104"]).by_form())
    return Worker(ReadingSettings(), store, predictor, reporter, "worker-1")  # type: ignore[arg-type]


def test_a_reading_is_not_lost_for_want_of_its_attention_map(
    store: Store, studies: list[str], predictor: Predictor
) -> None:
    class NoMap(OnGpu):
        def attention(self, hand: Hand, found: FoundHand) -> None:
            raise MemoryError

    on_gpu = NoMap(predictor, lambda hands: None)
    assert worker_of(store, on_gpu, ReportSettings(attention_map=True)).work()
    assert on_gpu.finds == 3, "the map is of the hand that was found for the reading"
    assert states(store, studies) == ["reported"] * 3


def states(store: Store, studies: list[str]) -> list[str]:
    return [str(store.studies.show(uid).state) for uid in studies]


def test_what_waits_is_read_in_one_batch(store: Store, studies: list[str], predictor: Predictor) -> None:
    worker, on_gpu = make_worker(store, predictor)
    assert worker.work()
    assert not worker.work()
    assert on_gpu.batches == [3]
    assert states(store, studies) == ["reported"] * 3


def test_one_that_breaks_a_batch_does_not_fail_the_others(
    store: Store, studies: list[str], predictor: Predictor
) -> None:
    def break_on_a_right_hand(hands: Sequence[Hand]) -> None:
        if any(hand.laterality == "R" for hand in hands):
            raise MemoryError

    worker, on_gpu = make_worker(store, predictor, break_on_a_right_hand)
    assert worker.work()
    assert on_gpu.batches == [3, 1, 1, 1]
    assert states(store, studies) == ["reported", "queued", "reported"]
    (job,) = store.studies.show(studies[1]).jobs
    assert job.last_error == "MemoryError"


def test_one_that_killed_a_worker_is_read_alone_and_costs_no_other_an_attempt(
    store: Store, studies: list[str], predictor: Predictor, clock: Clock
) -> None:
    held = store.queue.claim("worker-0", 1, 60.0, RetryPolicy(5, 0, 0))  # and worker-0 dies
    clock.go_on(61)
    worker, on_gpu = make_worker(store, predictor)
    assert worker.work()
    assert on_gpu.batches == [1]
    ended = [uid for uid in studies if states(store, [uid]) == ["reported"]]
    assert ended == [held[0].study_instance_uid]
    assert worker.work()
    assert on_gpu.batches == [1, 2]
    attempts = [job.attempts for uid in studies for job in store.studies.show(uid).jobs]
    assert sorted(attempts) == [1, 1, 2]
