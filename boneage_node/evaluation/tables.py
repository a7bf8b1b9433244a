"""The figures of an evaluation as tables in words, for the terminal, the page and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boneage_node.bone_age import ReasonCode, Refusal, Sex

from .strata import GROUPS, SEX_NAMES, STAGES, UNTOLD

_INTERVAL_NOTE = (
    "Coverage is the share of labels, of one reader each, that a reader's interval holds; few images say "
    "little of it. That of the bone age, as the mean of readers, is what is reported. Half widths are means."
)
_FINDING_NOTE = "Errors of key points are shares of the length from the middle finger's tip to the capitate."
_ANNOTATED_NOTE = f"{_FINDING_NOTE} Both are of the hands that are not refused."
_UNTOLD_NOTE = f"'{UNTOLD}': each network is told that sex is unknown, as now and then in training."
_PRECISION_NOTE = (
    "SD is that of readings of one hand. A change of less than 1.96 √2 SD between two may come of re-taking "
    "the image alone; 'pairs beyond' differ by more. Real re-takes, of a hand laid anew, may differ more."
)
_STAGE_NOTE = "Stages begin at these months of labelled age of girls and boys: {}.".format(
    ", ".join(f"{name} {girls:g} and {boys:g}" for name, (girls, boys) in STAGES.items() if girls)
)

Record = Mapping[str, Any]

# By heading, the key of a record of figures.
_COUNTS = {"n": "images", "refused": "refused"}
_FIGURES = _COUNTS | {
    "MAE": "mae_months",
    "median": "median_absolute_error_months",
    "RMSE": "rmse_months",
    "bias": "bias_months",
    "coverage": "interval_coverage",
}
_INTERVALS = {
    "n": "images",
    "coverage": "interval_coverage",
    "a reader's,\nhalf width": "half_width_months",
    "bone age's,\nhalf width": "bone_age_half_width_months",
}
_SEX_UNKNOWN = _COUNTS | {
    "MAE": "mae_months",
    "coverage": "interval_coverage",
    "width": "interval_width_months",
    "width,\nsex known": "interval_width_sex_known_months",
}
_STRESS = {
    "n": "read_both_ways",
    "MAE": "mae_months",
    "change\nin MAE": "mae_change_months",
    "moved over\n12 months": "large_changes",
    "newly\nrefused": "newly_refused",
}
_PHANTOMS = _COUNTS | {"rank\ncorrelation": "rank_correlation", "MAE": "mae_months", "bias": "bias_months"}
_PRECISION = _COUNTS | {
    "SD": "sd_months",
    "smallest\nreal change": "repeatability_months",
    "pairs\nbeyond": "beyond",
    "mean\nchange": "mean_change_months",
}
_FORMS = {
    "interval_coverage": "{:.1%}",
    "large_changes": "{:.1%}",
    "beyond": "{:.1%}",
    "mean_change_months": "{:+.2f}",
    "mae_change_months": "{:+.2f}",
    "half_width_months": "±{:.1f}",
    "bone_age_half_width_months": "±{:.1f}",
}


@dataclass(frozen=True)
class Table:
    """A table in words; columns may break at newlines, and the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def _table(
    title: str, first: str, columns: Mapping[str, str], records: Mapping[str, Record], note: str = ""
) -> Table:
    """A row a record, under its name; a dash where a record lacks a figure."""
    rows = [(name, *(_cell(record, key) for key in columns.values())) for name, record in records.items()]
    return Table(title, (first, *columns), rows, note)


def _cell(record: Record, key: str) -> str:
    value = record.get(key)
    if value is None:
        return "-"
    return str(value) if isinstance(value, int | str) else _FORMS.get(key, "{:.2f}").format(value)


def _refused(record: Record) -> str:
    images, refused = record["images"], record["refused"]
    return f"{refused} ({refused / images:.1%})" if images and refused else str(refused)


def tables(figures: Record) -> dict[str, Table]:
    """The tables of ``Evaluation.figures``, in the order of reading, by a name for each."""
    every = {words(name): {**row, "refused": _refused(row)} for name, row in figures["figures"].items()}
    shown = {
        "figures": _table(f"{figures['split']}, months", "images", _FIGURES, every),
        "refusals": _refusal_table(figures["refusals"]),
    }
    parts = reported(figures)
    for name in parts:
        note = _UNTOLD_NOTE if name == parts[0] else ""
        shown[f"networks {name}"] = _network_table(name, figures["networks"][name], note)
    for name in parts:
        for group in GROUPS:
            note = _STAGE_NOTE if (name, group) == (parts[0], "all") else ""
            shown[f"stages {name} {group}"] = _stage_table(name, group, figures["stages"][name], note)
    for name in parts:
        shown[f"intervals {name}"] = _interval_table(
            name, figures["intervals"][name], figures["figures"][name]
        )
    if figures["finding"]:
        shown["finding"] = _annotated_table(figures["finding"])
    shown["sex unknown"] = _table(
        "Sex unknown, read as both, months",
        "images",
        _SEX_UNKNOWN,
        {words(name): figures["sex_unknown"][name] for name in parts},
        "Widths are from the lower to the upper end of a reader's interval, on average.",
    )
    return shown | _asked_for(figures)


def _asked_for(figures: Record) -> dict[str, Table]:
    """Stress test, precision and drawn hands, where they were read."""
    shown = {}
    if figures["stress"] is not None:
        shown["stress"] = _table(
            "Stress test, high resolution",
            "transformation",
            _STRESS,
            {f"{row['transformation']}, {row['variant']}": row for row in figures["stress"]},
            "On the images that are read both as they are and transformed; months.",
        )
    if (precision := figures.get("precision")) is not None:
        shown["precision"] = _precision_table(precision)
    if (phantoms := figures["phantoms"]) is not None:
        reasons = ", ".join(f"{code} {count}" for code, count in phantoms["refusals"].items())
        by_sex = {name: phantoms[name] for name in ("all", *SEX_NAMES.values())}
        note = f"Refused: {reasons or 'none'}."
        shown["phantoms"] = _table("Drawn hands, months", "phantoms", _PHANTOMS, by_sex, note)
        shown["phantom finding"] = _finding_table(phantoms)
    if (non_hands := figures.get("non_hands")) is not None:
        every = non_hands["kinds"] | {"all": non_hands["all"]}
        shown["non-hands"] = _table("Drawn parts that are no hands", "part", _COUNTS, every)
    return shown


def reported(figures: Record) -> list[str]:
    """The populations to show: both, or one where all images are of high resolution or none is."""
    sizes = {name: figures["figures"][name]["images"] for name in figures["networks"]}
    return list(sizes) if len(set(sizes.values())) > 1 else list(sizes)[:1]


def words(name: str) -> str:
    """A key as people read it."""
    return name.replace("_", " ")


def _refusal_table(counts: Mapping[str, Mapping[str, int]]) -> Table:
    codes = dict.fromkeys(code for row in counts.values() for code in row)
    rows = [
        (code, *(str(row.get(code, 0)) for row in counts.values()), Refusal(ReasonCode(code)).sentence)
        for code in codes
    ]
    columns = ("reason", *map(words, counts), "meaning")
    return Table("Refusals", columns, rows, "" if rows else "No image was refused.")


def _network_table(population: str, networks: Mapping[str, Record], note: str) -> Table:
    columns = {group: group for group in next(iter(networks.values()))}
    return _table(f"MAE by network, {words(population)}, months", "network", columns, networks, note)


def _stage_table(population: str, group: str, stages: Mapping[str, Record], note: str) -> Table:
    counted = group if group != UNTOLD else "all"
    records = {"images": {name: row["images"][counted] for name, row in stages.items()}}
    for network in next(iter(stages.values()))["mae_months"]:
        records[network] = {name: row["mae_months"][network][group] for name, row in stages.items()}
    heads = {name.replace(" puberty", "\npuberty").replace("-puberty", "-\npuberty"): name for name in stages}
    title = f"MAE by stage of development, {words(population)}, {group}, months"
    return _table(title, "network", heads, records, note)


def _interval_table(population: str, bands: Sequence[Record], every: Record) -> Table:
    named = {
        f"{SEX_NAMES[Sex(band['sex'])]}, {years(band['from_months'], band['to_months'])}": band
        for band in bands
    }
    title = f"Intervals by sex and age, {words(population)}, months"
    return _table(title, "bone age read", _INTERVALS, named | {"all": every}, _INTERVAL_NOTE)


def years(from_months: float, to_months: float | None) -> str:
    """A band of age in years; None is no end."""
    start = f"{from_months / 12:g}"
    return f"{start} years and over" if to_months is None else f"{start} to {to_months / 12:g} years"


def _precision_table(precision: Record) -> Table:
    ages = {years(band["from_months"], band["to_months"]): band for band in precision["ages"]}
    parts = {f"together, {name}": row for name, row in (precision["sexes"] | ages).items()}
    title = "Precision of re-taken hands, high resolution, months"
    return _table(title, "re-taken", _PRECISION, precision["changes"] | parts, _PRECISION_NOTE)


def _annotated_table(finding: Record) -> Table:
    rows = []
    for key, label, typical, worst, form in (
        ("hand_mask", "hand mask, IoU", ("mean_iou", "mean"), ("least_iou", "least"), ".3f"),
        ("key_points", "key points", ("median", "median"), ("percentile_95", "95th percentile"), ".1%"),
    ):
        if row := finding.get(key):
            told = [f"{name} {row[k]:{form}}" if k in row else "-" for k, name in (typical, worst)]
            rows.append((label, str(row["images"]), str(row["refused"]), *told))
    columns = ("", "n", "refused", "typical", "worst")
    return Table("Mask and key points that people drew", columns, rows, _ANNOTATED_NOTE)


def _finding_table(phantoms: Record) -> Table:
    iou, points = phantoms["mask_iou"], phantoms["key_points"] or {}
    rows = [("hand mask, IoU", f"{iou['mean']:.2f}", f"least {iou['least']:.2f}")] if iou else []
    for name, row in points.items():
        label = "key points, all" if name == "all" else f"key point, {words(name)}"
        rows.append((label, f"{row['median']:.1%}", f"95th percentile {row['percentile_95']:.1%}"))
    return Table("Mask and key points of drawn hands", ("", "typical", "worst"), rows, _FINDING_NOTE)
