"""The result of an evaluation: all its figures, and a row an image, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from boneage_node import __version__
from boneage_node.bone_age import Answer, Assessment
from boneage_node.bone_age.manifest import Manifest

from .non_hands import non_hand_table
from .phantoms import PhantomReading, phantom_table
from .readings import Reading, refusals
from .strata import (
    band_table,
    interval_table,
    network_frame,
    network_names,
    network_table,
    populations,
    reading_frame,
    sex_unknown,
    stage_table,
    summary,
)

JSON_FILE = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """A model's readings of a split, and of changed images and phantoms where they were asked for.

    Attributes:
        manifest: The model's.
        split: Which images.
        readings: Of the split's images.
        finding: ``finding.finding_figures``.
        stress: Rows of ``stress.stress_table`` and ``crops.read_crops``.
        precision: ``precision.precision_table``.
        phantoms: Readings of drawn hands.
        non_hands: Readings of drawn parts that are no hands.
        doubt: Reason why the figures may be too good (``held_out.reason_to_doubt``).
        sample: What part of the split was read, in a sentence; empty for all of it.
    """

    manifest: Manifest
    split: str
    readings: list[Reading]
    finding: Mapping[str, Any] = field(default_factory=dict)
    stress: list[dict[str, Any]] | None = None
    precision: Mapping[str, Any] | None = None
    phantoms: list[PhantomReading] | None = None
    non_hands: list[tuple[str, Answer]] | None = None
    doubt: str = ""
    sample: str = ""

    @property
    def model(self) -> str:
        """Name, version and sha256 of the weights."""
        return str(self.manifest.identity)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The readings, a row an image (``strata.reading_frame``)."""
        return reading_frame(self.readings)

    def figures(self) -> dict[str, Any]:
        """All figures, without the single images; each table for every population that has images."""
        interval = self.manifest.interval
        parts = {name: part for name, part in populations(self.frame).items() if len(part)}
        errors = populations(network_frame(self.readings))
        return {
            "model": self.model,
            "software": f"boneage-node {__version__}",
            "split": self.split,
            "doubt": self.doubt,
            "sample": self.sample,
            "nominal_coverage": interval.coverage,
            "figures": summary(self.frame),
            "refusals": {name: refusals(part["refusal"]) for name, part in parts.items()},
            "networks": {name: network_table(errors[name], network_names(errors[name])) for name in parts},
            "stages": {name: stage_table(part, errors[name]) for name, part in parts.items()},
            "bands": {name: band_table(part) for name, part in parts.items()},
            "intervals": {name: interval_table(part, interval) for name, part in parts.items()},
            "finding": dict(self.finding),
            "sex_unknown": {name: sex_unknown(part) for name, part in parts.items()},
            "stress": self.stress,
            "precision": self.precision,
            "phantoms": phantom_table(self.phantoms) if self.phantoms is not None else None,
            "non_hands": non_hand_table(self.non_hands) if self.non_hands is not None else None,
        }

    def write_json(self, folder: Path) -> Path:
        """Write the figures and a row an image; gives the file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / JSON_FILE
        rows = [image_row(reading) for reading in self.readings]
        file.write_text(json.dumps(self.figures() | {"images": rows}, indent=1) + "\n")
        return file


def image_row(reading: Reading) -> dict[str, Any]:
    """One image as the JSON has it: labels, the reading or the refusal, what each network read."""
    example, answer, both = reading.example, reading.assessment, reading.as_both
    return {
        "id": example.id,
        "split": example.split,
        "sex": str(example.sex),
        "high_resolution": reading.sharp,
        "label_months": example.bone_age_months,
        "bone_age_months": round(answer.bone_age_months, 2) if answer else None,
        **_intervals(answer),
        "refusal": str(reading.refusal.code) if reading.refusal else None,
        "refusal_detail": reading.refusal.detail if reading.refusal else None,
        "unlikeness": answer.unlikeness if answer else None,
        "networks_months": _rounded(answer.member_months) if answer else None,
        "sex_not_told_months": _rounded(reading.untold_months) if reading.untold_months else None,
        "read_as_both": {
            "months_by_sex": _rounded({str(sex): months for sex, months in both.months_by_sex.items()}),
            **_intervals(both),
        }
        if both
        else None,
    }


def _intervals(answer: Assessment | None) -> dict[str, list[float] | None]:
    """The bone age's interval and a reader's, as ``Assessment`` has them."""
    told = {
        "interval_months": answer.interval_months if answer else None,
        "reader_interval_months": answer.reader_interval_months if answer else None,
    }
    return {name: [round(end, 2) for end in ends] if ends else None for name, ends in told.items()}


def _rounded(months: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in months.items()}
