"""Errors by network, sex, stage of skeletal development and age: the method's whole table, as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from boneage_node.bone_age import Assessment, Sex
from boneage_node.bone_age.manifest import Interval

from .readings import ENSEMBLE, Reading

SEX_NAMES = {Sex.MALE: "boys", Sex.FEMALE: "girls"}
UNTOLD = "sex not told"
GROUPS = ("all", *SEX_NAMES.values(), UNTOLD)
_BAND_MONTHS = 24
_LAST_BAND_FROM = 216
_READ = ("months", "error", "inside", "width")


@dataclass(frozen=True)
class Stage:
    """A stage of skeletal development: from an age in months that depends on sex, until the next begins."""

    name: str
    girls_from_months: float
    boys_from_months: float

    def from_months(self, sex: Sex) -> float:
        """Where it begins."""
        return self.boys_from_months if sex is Sex.MALE else self.girls_from_months


STAGES = (
    Stage("infancy", 0, 0),
    Stage("toddlers", 10, 14),
    Stage("pre-puberty", 24, 36),
    Stage("early and mid-puberty", 84, 108),
    Stage("late puberty", 156, 168),
    Stage("post-puberty", 180, 204),
)
"""Gilsanz and Ratib, Hand Bone Age (2005), as in doi 10.1101/234120.

There boys of 16 have no stage (late puberty ends at 16 years, post-puberty begins at 17): here a stage lasts
until the next begins, so they are in late puberty. The last has no end.
"""


def stage_of(age_months: float, sex: Sex) -> Stage:
    """The one stage of an age."""
    return next(stage for stage in reversed(STAGES) if stage.from_months(sex) <= age_months)


def reading_frame(readings: Iterable[Reading]) -> pd.DataFrame:
    """A row an image: its labels, what was read of it, and what was read as of unknown sex (``both_...``).

    ``error`` is reading minus label, ``inside`` is 1 where the interval holds the label, else 0, ``width`` is
    the interval's; all are NaN where the image was refused.
    """
    columns = ["sharp", "sex", "label", "stage", "refusal", *_READ, *(f"both_{name}" for name in _READ)]
    rows = [
        {
            "sharp": r.sharp,
            "sex": r.example.sex,
            "label": r.example.bone_age_months,
            "stage": stage_of(r.example.bone_age_months, r.example.sex).name,
            "refusal": r.refusal,
        }
        | _read(r.assessment, r.example.bone_age_months)
        | {f"both_{name}": value for name, value in _read(r.as_both, r.example.bone_age_months).items()}
        for r in readings
    ]
    return pd.DataFrame(rows, columns=columns).astype({"sharp": bool} | dict.fromkeys(columns[5:], float))


def _read(answer: Assessment | None, label_months: float) -> dict[str, float]:
    if answer is None:
        return dict.fromkeys(_READ, np.nan)
    low, high = answer.interval_months
    months = answer.bone_age_months
    values = (months, months - label_months, float(low <= label_months <= high), high - low)
    return dict(zip(_READ, values, strict=True))


def network_frame(readings: Iterable[Reading]) -> pd.DataFrame:
    """A row for each image read, network and head, the ensemble too, and group in which the image counts.

    The groups are all, the image's sex, and, where it was asked, ``UNTOLD``.
    """
    rows = []
    for r in readings:
        if r.assessment is None:
            continue
        label, sex = r.example.bone_age_months, r.example.sex
        told = {**r.assessment.member_months, ENSEMBLE: r.assessment.bone_age_months}
        for group, read in (("all", told), (SEX_NAMES[sex], told), (UNTOLD, r.untold_months or {})):
            stage = stage_of(label, sex).name
            rows += [(r.sharp, stage, name, group, abs(months - label)) for name, months in read.items()]
    frame = pd.DataFrame(rows, columns=["sharp", "stage", "network", "group", "error"])
    return frame.astype({"sharp": bool, "error": float})


def populations(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows to report on: of high-resolution images, which a node sees, and of all."""
    return {"high_resolution": frame[frame["sharp"]], "all": frame}


def figures(frame: pd.DataFrame) -> dict[str, Any]:
    """Errors in months, refusals and the interval's measured coverage, of a ``reading_frame``."""
    read = frame.dropna(subset="error")
    errors = read["error"]
    row: dict[str, Any] = {"images": len(frame), "refused": len(frame) - len(read)}
    if read.empty:
        return row
    return row | {
        "mae_months": round(float(errors.abs().mean()), 2),
        "median_absolute_error_months": round(float(errors.abs().median()), 2),
        "rmse_months": round(float(np.sqrt((errors**2).mean())), 2),
        "bias_months": round(float(errors.mean()), 2),
        "interval_coverage": round(float(read["inside"].mean()), 3),
    }


def summary(frame: pd.DataFrame) -> dict[str, Any]:
    """Figures on high-resolution images, the ones a node sees, by sex too, then on all."""
    sharp = frame[frame["sharp"]]
    by_sex = {f"high_resolution_{name}": sharp[sharp["sex"] == sex] for sex, name in SEX_NAMES.items()}
    parts = {"high_resolution": sharp, **by_sex, "all": frame}
    return {name: figures(part) for name, part in parts.items()}


def network_table(errors: pd.DataFrame, names: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """Mean absolute error in months by network and group of a ``network_frame``; None where there is none."""
    means = errors.groupby(["network", "group"])["error"].mean().to_dict()
    return {name: {group: _rounded(means.get((name, group))) for group in GROUPS} for name in names}


def network_names(errors: pd.DataFrame) -> list[str]:
    """Networks and heads in the model's order, the ensemble last."""
    return list(errors["network"].unique()) or [ENSEMBLE]


def stage_table(frame: pd.DataFrame, errors: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """For each stage: images read, by sex, and what ``network_table`` has."""
    read = frame.dropna(subset="error").groupby(["stage", "sex"]).size().to_dict()
    names = network_names(errors)
    table = {}
    for stage in (stage.name for stage in STAGES):
        counts = {name: read.get((stage, sex), 0) for sex, name in SEX_NAMES.items()}
        table[stage] = {
            "images": {"all": sum(counts.values()), **counts},
            "mae_months": network_table(errors[errors["stage"] == stage], names),
        }
    return table


def band_table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """``figures`` for each sex and two years of labelled age that has images; the last band is open."""
    starts = (frame["label"] // _BAND_MONTHS * _BAND_MONTHS).clip(upper=_LAST_BAND_FROM).astype(int)
    parts = dict(iter(frame.groupby(["sex", starts])))
    rows = []
    for sex in Sex:
        for low in range(0, _LAST_BAND_FROM + 1, _BAND_MONTHS):
            if (part := parts.get((sex, low))) is not None:
                high = None if low == _LAST_BAND_FROM else low + _BAND_MONTHS
                rows.append({"sex": str(sex), "from_months": low, "to_months": high} | figures(part))
    return rows


def interval_table(frame: pd.DataFrame, interval: Interval) -> list[dict[str, Any]]:
    """For each sex and band of the age read: half width, images, and the share whose label it holds.

    These are the bands that the intervals were calibrated in; the last of a sex has no end.
    """
    read = frame.dropna(subset="error")
    rows = []
    for sex, bands in interval.bands.items():
        own = read[read["sex"] == sex]
        edges = [band.below_months for band in bands[:-1]]
        inside = own.groupby(np.digitize(own["months"], edges))["inside"].agg(["size", "mean"])
        held = inside.reindex(range(len(bands))).itertuples(index=False)
        for low, high, band, (images, share) in zip([0.0, *edges], [*edges, None], bands, held, strict=True):
            rows.append(
                {
                    "sex": str(sex),
                    "from_months": low,
                    "to_months": high,
                    "half_width_months": band.half_width_months,
                    "images": 0 if np.isnan(images) else int(images),
                    "interval_coverage": _rounded(share, 3),
                }
            )
    return rows


def sex_unknown(frame: pd.DataFrame) -> dict[str, Any]:
    """Figures of hands read as both sexes, beside the width of the interval where sex is known.

    Refused are those that are read where sex is known, and not where it is unknown.
    """
    read = frame.dropna(subset="error")
    both = read.dropna(subset="both_error")
    row: dict[str, Any] = {"images": len(read), "refused": len(read) - len(both)}
    if both.empty:
        return row
    return row | {
        "mae_months": _rounded(both["both_error"].abs().mean()),
        "interval_coverage": _rounded(both["both_inside"].mean(), 3),
        "interval_width_months": _rounded(both["both_width"].mean(), 1),
        "interval_width_sex_known_months": _rounded(read["width"].mean(), 1),
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), digits)
