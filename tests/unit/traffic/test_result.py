"""The result of a reading, to JSON and back."""

from __future__ import annotations

import json

import pytest

from boneage_node.traffic.result import EarlierBoneAge, EarlierBoneAges, Result, ResultStatus

ASSESSED = Result(
    file="hand.dcm",
    sop_instance_uid="1.2.3",
    status=ResultStatus.ASSESSED,
    sex="F",
    bone_age_months=98.4,
    bone_age_months_by_sex={"F": 98.4},
    interval_months=(80.0, 116.8),
    reader_interval_months=(75.0, 121.8),
    probability_outside_normal=0.04,
    earlier=EarlierBoneAges((EarlierBoneAge("2025-01-02", 86.1),), "2025-01-02", 1.02, 3.1),
)
KEYS = [
    "file",
    "sop_instance_uid",
    "status",
    "reason",
    "sex",
    "chronological_age_months",
    "bone_age_months",
    "bone_age_months_by_sex",
    "interval_months",
    "reader_interval_months",
    "z_score",
    "probability_outside_normal",
    "determination",
    "determination_certain",
    "agreement",
    "cautions",
    "earlier",
    "laterality",
    "model",
    "elapsed_ms",
]
"""What users' programs read: none is renamed or left out."""


@pytest.mark.parametrize("result", [ASSESSED, Result.failed("hand.dcm", "MemoryError")])
def test_a_result_has_all_keys_and_comes_back_from_json(result: Result) -> None:
    stored = json.loads(json.dumps(result.to_json()))
    assert list(stored) == KEYS
    assert Result.from_json(stored) == result


def test_a_result_of_an_older_version_lacks_newer_keys() -> None:
    older = {"file": "a", "sop_instance_uid": None, "status": "refused", "reason": "adult", "unheard_of": 1}
    assert Result.from_json(older) == Result("a", None, ResultStatus.REFUSED, "adult")


def test_a_rate_of_an_older_version_comes_without_the_smallest_real_change() -> None:
    stored = ASSESSED.to_json()
    del stored["earlier"]["repeatability_months"]
    earlier = Result.from_json(stored).earlier
    assert earlier == EarlierBoneAges((EarlierBoneAge("2025-01-02", 86.1),), "2025-01-02", 1.02)
