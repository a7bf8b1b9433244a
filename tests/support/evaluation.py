"""Readings made by hand, to work out figures from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from boneage_node.bone_age import Agreement, Assessment, ModelIdentity, ReasonCode, Refusal, Sex, model_zoo
from boneage_node.bone_age.manifest import Band, Interval, Manifest, Weights, read_manifest
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.readings import Reading

BOY, GIRL = Sex.MALE, Sex.FEMALE


def an_assessment(
    months: float, sex: Sex | None = BOY, half_width: float = 10, members: dict[str, float] | None = None
) -> Assessment:
    return Assessment(
        bone_age_months=months,
        interval_months=(months - half_width, months + half_width),
        interval_coverage=0.95,
        sex=sex,
        months_by_sex=dict.fromkeys([sex] if sex else Sex, months),
        member_months=members or {"A regression": months},
        chronological_age_months=None,
        z_score=None,
        spread_months=1.0,
        agreement=Agreement.USUAL,
        laterality=None,
        outline_px=np.zeros((3, 2), dtype=np.float32),
        key_points_px=np.zeros((3, 2), dtype=np.float32),
        regions_px={},
        model=ModelIdentity("hand-made", "1", "0" * 64),
    )


def a_manifest() -> Manifest:
    """The shipped one, under another name, with bands of its own."""
    bands = {
        BOY: (Band(below_months=96, factor=10), Band(below_months=240, factor=20)),
        GIRL: (Band(below_months=240, factor=15),),
    }
    own = {
        "name": "<hand-made>",
        "version": "1",
        "terms": "Research & nothing else.",
        "weights": Weights(file="weights.safetensors", sha256="0" * 64),
        "interval": Interval(coverage=0.95, bands=bands),
    }
    return read_manifest(model_zoo.model_dir()).model_copy(update=own)


def a_reading(
    label: float,
    answer: Assessment | ReasonCode,
    sex: Sex = BOY,
    *,
    sharp: bool = True,
    as_both: Assessment | None = None,
    untold: dict[str, float] | None = None,
) -> Reading:
    example = Example("1", Path("1.png"), label, sex, "validation", None)
    if isinstance(answer, ReasonCode):
        return Reading(example, sharp, None, Refusal(answer))
    return Reading(example, sharp, answer, None, as_both, untold)
