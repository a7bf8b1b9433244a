"""The worker's care for a queue: batches, what fails in them, and what kills workers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pytest
import torch
from pydicom import dcmread
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs
from support.store import Clock, queue_study, receive
from support.waiting import eventually

from boneage_node.bone_age import Answer, Hand, Refusal
from boneage_node.bone_age.cropping import FoundHand
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.errors import NodeError
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.reading.reporter import Reporter
from boneage_node.reading.settings import ReadingSettings, ReportSettings
from boneage_node.reading.trouble import node_trouble
from boneage_node.reading.worker import Worker
from boneage_node.retry import RetryPolicy
from boneage_node.spool import SpoolFull
from boneage_node.store import Store, StudyDetail

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


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boneage_node.reading.worker._Health._PAUSE_SECONDS_MAX", 0.01)


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
            raise ValueError

    worker, on_gpu = make_worker(store, predictor, break_on_a_right_hand)
    assert worker.work()
    assert on_gpu.batches == [3, 1, 1, 1]
    assert states(store, studies) == ["reported", "queued", "reported"]
    (job,) = store.studies.show(studies[1]).jobs
    assert job.last_error == "ValueError"


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


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (SpoolFull("3 MiB left"), "No space left"),
        (OSError(errno.EIO, "of DOE^JOHN"), "Input/output error"),
        (FileNotFoundError(errno.ENOENT, "gone"), "No such file"),
        (torch.OutOfMemoryError("CUDA out of memory"), "no memory left"),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "the GPU failed"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "the GPU failed"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "no memory is left"),
        (MemoryError(), "no memory is left"),
        (OperationalError("SELECT 1", None, Exception("server closed the connection")), "the database"),
        (IntegrityError("INSERT", None, Exception("no such instance")), None),
        (OSError("image file is truncated"), None),
        (RuntimeError("shape '[1, 2]' is invalid"), None),
        (ZeroDivisionError(), None),
    ],
)
def test_tells_the_node_s_trouble_from_the_study_s_fault(error: Exception, trouble: str | None) -> None:
    told = node_trouble(error)
    assert (told is None) == (trouble is None)
    assert (trouble or "") in (told or "")
    assert "DOE" not in (told or "")


def test_a_full_disk_sets_no_study_aside_and_each_is_read_when_there_is_room(
    store: Store, studies: list[str], predictor: Predictor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(data: bytes, suffix: str = ".dcm") -> str:
        raise SpoolFull("none is left")

    worker, _ = make_worker(store, predictor)
    with monkeypatch.context() as full, capture_logs() as logged:
        full.setattr(store.spool, "write", no_room)
        for _ in range(4):  # more often than a study is tried
            eventually(worker.work)
            clock.go_on(600)
    assert states(store, studies) == ["queued"] * 3
    assert store.queue.troubles() == {"files cannot be read or written: No space left on device": 3}
    assert [line["event"] for line in logged] == ["node in trouble"]
    eventually(worker.work)
    assert states(store, studies) == ["reported"] * 3
    assert [job.attempts for uid in studies for job in store.studies.show(uid).jobs] == [1, 1, 1]
    assert store.queue.troubles() == {}


def test_a_file_that_can_never_be_read_holds_nobody_up(
    store: Store, studies: list[str], predictor: Predictor, clock: Clock
) -> None:
    store.spool.discard(store.studies.show(studies[0]).instances[0].file.key)
    worker, _ = make_worker(store, predictor)
    for _ in range(5):
        eventually(worker.work)
        clock.go_on(600)
    assert states(store, studies) == ["queued", "reported", "reported"]
    (job,) = store.studies.show(studies[0]).jobs
    assert (job.attempts, job.put_off) == (0, 5)


def test_a_database_that_goes_away_under_a_reading_costs_no_attempt(
    store: Store, studies: list[str], predictor: Predictor, clock: Clock
) -> None:
    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(("INSERT INTO reports", "UPDATE jobs")):
            raise OperationalError(statement, None, Exception("the database has gone"))

    worker, on_gpu = make_worker(store, predictor)

    def lose_it(_hands: Sequence[Hand]) -> None:
        event.listen(store.engine, "before_cursor_execute", fail)

    on_gpu._fault = lose_it
    with pytest.raises(OperationalError):
        worker.work()
    event.remove(store.engine, "before_cursor_execute", fail)
    on_gpu._fault = lambda hands: None
    assert states(store, studies) == ["reading"] * 3
    eventually(lambda: (worker.work(), clock.go_on(10), store.studies.counts()["reported"] == 3)[-1])
    assert [job.attempts for uid in studies for job in store.studies.show(uid).jobs] == [1, 1, 1]


def test_a_worker_whose_gpu_failed_ends_and_its_studies_wait_for_the_next(
    store: Store, studies: list[str], predictor: Predictor
) -> None:
    def fail(_hands: Sequence[Hand]) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    worker, on_gpu = make_worker(store, predictor, fail)
    with pytest.raises(NodeError, match="opened anew"):
        worker.work()
    assert on_gpu.batches == [3], "none is tried alone on a GPU that is lost"
    assert states(store, studies) == ["queued"] * 3
    assert store.queue.troubles() == {"the GPU failed": 3}


def test_a_study_that_goes_round_and_round_is_reported_on_ten_times_and_then_set_aside(
    store: Store, predictor: Predictor, sample_dicom: Path, clock: Clock
) -> None:
    image = dcmread(sample_dicom / "no-sex-10y-dx.dcm")
    uids = {"study": str(image.StudyInstanceUID), "instance": str(image.SOPInstanceUID)}
    worker = worker_of(store, OnGpu(predictor, lambda hands: None), ReportSettings(send_pictures=False))

    def corrected_again(number: int) -> StudyDetail:
        image.PatientID = f"CORRECTED-{number}"
        file = BytesIO()
        image.save_as(file)
        receive(store, **uids, data=file.getvalue())
        clock.go_on(11)
        store.intake.settle()
        assert worker.work()
        return store.studies.show(uids["study"])

    for number in range(10):
        assert corrected_again(number).state == "refused"
    for number in (10, 11):
        study = corrected_again(number)
        assert (study.state, len(study.reports), len(study.deliveries)) == ("set_aside", 10, 10)
        assert "10 reports on this study within an hour" in (study.jobs[-1].last_error or "")
    clock.go_on(3600)
    store.studies.retry(study.id)
    assert worker.work()
    assert len(store.studies.show(study.id).reports) == 11


def test_a_torch_that_knows_no_accelerator_error_tells_trouble_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch, "AcceleratorError")  # torch 2.6 and 2.7
    assert node_trouble(RuntimeError("CUDA error: unspecified launch failure")) == "the GPU failed"
    assert node_trouble(ValueError("not a number")) is None
