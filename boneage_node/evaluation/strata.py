"""Errors by network, sex, stage of skeletal development and age: the method's whole table, as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pandas as pd

from boneage_node.bone_age import Assessment, Sex
from boneage_node.bone_age.manifest import Interval

from .readings import ENSEMBLE, Reading, rounded

SEX_NAMES = {Sex.MALE: "boys", Sex.FEMALE: "girls"}
UNTOLD = "sex not told"
GROUPS = ("all", *SEX_NAMES.values(), UNTOLD)
_BAND_MONTHS = 24
_LAST_BAND_FROM = 216

STAGES: dict[str, tuple[float, float]] = {
    "infancy": (0, 0),
    "toddlers": (10, 14),
    "pre-puberty": (24, 36),
    "early and mid-puberty": (84, 108),
    "late puberty": (156, 168),
    "post-puberty": (180, 204),
}
"""Where each stage of skeletal development begins, in months of a girl's and of a boy's age.

From Gilsanz and Ratib, Hand Bone Age (2005), as in doi 10.1101/234120. There boys of 16 have no stage (late
puberty ends at 16 years, post-puberty begins at 17): here a stage lasts until the next begins, so they are in
late puberty. The last has no end.
"""


def stage_of(age_months: float, sex: Sex) -> str:
    """The one stage of an age."""
    *_, last = (name for name, starts in STAGES.items() if starts[sex is Sex.MALE] <= age_months)
    return last


def reading_frame(readings: Iterable[Reading]) -> pd.DataFrame:
    """A row an image: its labels, what was read of it, and what was read as of unknown sex (``both_...``).

    ``error`` is reading minus label, ``inside`` is 1 where a reader's interval holds the label, else 0,
    ``width`` is that interval's, ``bone_age_width`` is the bone age's (NaN where the model does not tell the
    two apart); all are NaN where the image was refused.
    """
    rows = []
    for r in readings:
        label, sex = r.example.bone_age_months, r.example.sex
        labels = (r.sharp, sex, label, stage_of(label, sex), r.refusal)
        rows.append((*labels, *_read(r.assessment, label), *_read(r.as_both, label)))
    read = ["months", "error", "inside", "width", "bone_age_width"]
    columns = ["sharp", "sex", "label", "stage", "refusal", *read, *(f"both_{name}" for name in read)]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"sharp": bool, "sex": pd.CategoricalDtype(list(Sex))})


def _read(answer: Assessment | None, label_months: float) -> tuple[float, float, float, float, float]:
    if answer is None:
        return (np.nan,) * 5
    low, high = answer.reader_interval_months or answer.interval_months
    months = answer.bone_age_months
    inside = float(low <= label_months <= high)
    return months, months - label_months, inside, high - low, _bone_age_width(answer)


def _bone_age_width(answer: Assessment) -> float:
    low, high = answer.interval_months
    return high - low if answer.reader_interval_months else np.nan


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
            stage = stage_of(label, sex)
            rows += [(r.sharp, stage, name, group, abs(months - label)) for name, months in read.items()]
    frame = pd.DataFrame(rows, columns=["sharp", "stage", "network", "group", "error"])
    return frame.astype({"sharp": bool, "error": float})


def populations(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows to report on: of high-resolution images, which a node sees, and of all."""
    return {"high_resolution": frame[frame["sharp"]], "all": frame}


def figures(frame: pd.DataFrame) -> dict[str, Any]:
    """Errors in months, refusals, and the labels' coverage by a reader's interval, of a ``reading_frame``."""
    read = frame.dropna(subset="error")
    errors = read["error"]
    row: dict[str, Any] = {"images": len(frame), "refused": len(frame) - len(read)}
    if read.empty:
        return row
    return (
        row
        | {
            "mae_months": rounded(errors.abs().mean()),
            "median_absolute_error_months": rounded(errors.abs().median()),
            "rmse_months": rounded(np.sqrt((errors**2).mean())),
            "bias_months": rounded(errors.mean()),
            "interval_coverage": rounded(read["inside"].mean(), 3),
        }
        | _half_widths(read)
    )


def _half_widths(read: pd.DataFrame) -> dict[str, float | None]:
    """Half of the mean widths; None for what the model does not tell."""
    return {
        "half_width_months": rounded(read["width"].mean() / 2),
        "bone_age_half_width_months": rounded(read["bone_age_width"].mean() / 2),
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
    return {name: {group: rounded(means.get((name, group))) for group in GROUPS} for name in names}


def network_names(errors: pd.DataFrame) -> list[str]:
    """Networks and heads in the model's order, the ensemble last."""
    return list(errors["network"].unique()) or [ENSEMBLE]


def stage_table(frame: pd.DataFrame, errors: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """For each stage: images read, by sex, and what ``network_table`` has."""
    read = frame.dropna(subset="error")
    table = {}
    for stage in STAGES:
        sexes = read.loc[read["stage"] == stage, "sex"]
        counts = {name: int((sexes == sex).sum()) for sex, name in SEX_NAMES.items()}
        own = errors[errors["stage"] == stage]
        table[stage] = {
            "images": {"all": len(sexes), **counts},
            "mae_months": network_table(own, network_names(errors)),
        }
    return table


def band_table(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """``figures`` for each sex and two years of labelled age that has images; the last band is open."""
    starts = (frame["label"] // _BAND_MONTHS * _BAND_MONTHS).clip(upper=_LAST_BAND_FROM).astype(int)
    rows = []
    for key, part in frame.groupby(["sex", starts], observed=True):
        sex, start = cast(tuple[str, int], key)
        end = None if start == _LAST_BAND_FROM else int(start) + _BAND_MONTHS
        rows.append({"sex": str(sex), "from_months": int(start), "to_months": end} | figures(part))
    return rows


def interval_table(frame: pd.DataFrame, interval: Interval) -> list[dict[str, Any]]:
    """For each sex and band of the age read: images, the share of labels held, and mean half widths.

    These are the bands that the intervals were calibrated in; the last of a sex has no end.
    """
    rows = []
    for sex, bands in interval.bands.items():
        read = frame[frame["sex"] == sex].dropna(subset="error")
        edges = [band.below_months for band in bands[:-1]]
        places = np.digitize(read["months"], edges)
        for place, (low, high) in enumerate(zip([0.0, *edges], [*edges, None], strict=True)):
            own = read[places == place]
            rows.append(
                {
                    "sex": str(sex),
                    "from_months": low,
                    "to_months": high,
                    "images": len(own),
                    "interval_coverage": rounded(own["inside"].mean(), 3),
                }
                | _half_widths(own)
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
        "mae_months": rounded(both["both_error"].abs().mean()),
        "interval_coverage": rounded(both["both_inside"].mean(), 3),
        "interval_width_months": rounded(both["both_width"].mean(), 1),
        "interval_width_sex_known_months": rounded(read["width"].mean(), 1),
    }
