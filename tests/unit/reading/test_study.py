"""A study has one result and one report, on however many threads and with whatever else it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from boneage_node.bone_age.predictor import Predictor
from boneage_node.reading.study import Reading, assess, choose_and_find, read_study
from boneage_node.report import report_instance_uid
from boneage_node.traffic.file import LocalFile

HANDS = ("girl-08y-dx.dcm", "boy-09y-dx-right.dcm", "boy-15y-cr.dcm")


@pytest.fixture
def threads() -> Iterator[None]:
    """Leaves the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def said(reading: Reading) -> tuple[str, dict[str, Any]]:
    """UID of its report, and its result as JSON but for how long it took."""
    assert reading.choice.dataset is not None
    assert reading.choice.radiograph is not None
    uid = report_instance_uid(reading.choice.dataset, reading.answer, reading.choice.radiograph.pixels)
    return uid, reading.result().to_json() | {"elapsed_ms": None}


@pytest.mark.usefixtures("threads")
def test_threads_and_batches_change_neither_the_result_nor_the_report(
    predictor: Predictor, sample_dicom: Path
) -> None:
    files = [LocalFile(sample_dicom / name) for name in HANDS]
    readings = []
    for count in (1, 2):
        torch.set_num_threads(count)
        readings.append([said(read_study([file], predictor)) for file in files])
        choices = [choose_and_find([file], predictor, sex_required=True) for file in files]
        batch = zip(choices, assess(choices, predictor), strict=True)
        readings.append([said(Reading(choice, answer, 0.0)) for choice, answer in batch])
    assert readings[0] == readings[1] == readings[2] == readings[3]
    assert len({uid for uid, _ in readings[0]}) == len(HANDS)
    assert all(result["bone_age_months"] for _, result in readings[0])
