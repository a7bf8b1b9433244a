"""The figures of an evaluation as tables in words, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boneage_node.bone_age import ReasonCode, Refusal, Sex

from .strata import SEX_NAMES, STAGES, UNTOLD

FIGURE_COLUMNS = {
    "images": "n",
    "refused": "refused",
    "mae_months": "MAE",
    "median_absolute_error_months": "median",
    "rmse_months": "RMSE",
    "bias_months": "bias",
    "interval_coverage": "coverage",
}

_INTERVAL_NOTE = (
    "Each sex and band of the age that is read has its own half width; few images say little of a share."
)
_FINDING_NOTE = "Errors of key points are shares of the length from the middle finger's tip to the capitate."
_ANNOTATED_NOTE = f"{_FINDING_NOTE} Both are of the hands that are not refused."
_UNTOLD_NOTE = f"'{UNTOLD}': each network is told that sex is unknown, as now and then in training."


@dataclass(frozen=True)
class Table:
    """A table in words; columns may break at newlines, and the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def tables(figures: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of ``Evaluation.figures``, in the order of reading, by a name for each."""
    shown = {"figures": _figure_table(figures), "refusals": _refusal_table(figures)}
    parts = reported(figures)
    for name, note in zip(parts, (_UNTOLD_NOTE, ""), strict=False):
        shown[f"networks {name}"] = _network_table(name, figures["networks"][name], note)
    for name, note in zip(parts, (_stage_note(), ""), strict=False):
        for group in ("all", *SEX_NAMES.values(), UNTOLD):
            own_note = note if group == "all" else ""
            shown[f"stages {name} {group}"] = _stage_table(name, group, figures["stages"][name], own_note)
    for name in parts:
        shown[f"intervals {name}"] = _interval_table(name, figures["intervals"][name])
    if figures["finding"]:
        shown["finding"] = _annotated_table(figures["finding"])
    shown["sex unknown"] = _unknown_table({name: figures["sex_unknown"][name] for name in parts})
    if figures["stress"] is not None:
        shown["stress"] = _stress_table(figures["stress"])
    if figures["phantoms"] is not None:
        shown["phantoms"] = _phantom_table(figures["phantoms"])
        shown["phantom finding"] = _finding_table(figures["phantoms"])
    return shown


def reported(figures: Mapping[str, Any]) -> list[str]:
    """The populations to show: both, or one where all images are of high resolution or none is."""
    sizes = {name: figures["figures"][name]["images"] for name in figures["networks"]}
    return list(sizes) if len(set(sizes.values())) > 1 else list(sizes)[:1]


def words(name: str) -> str:
    """A key as people read it."""
    return name.replace("_", " ")


def _cell(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"


def _share(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def _figure_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    images, refused, *errors, coverage = [row.get(key) for key in FIGURE_COLUMNS]
    share = f"{refused} ({refused / images:.1%})" if images and refused else str(refused)
    return (str(images), share, *map(_cell, errors), _share(coverage))


def _figure_table(figures: Mapping[str, Any]) -> Table:
    rows = [(words(name), *_figure_cells(row)) for name, row in figures["figures"].items()]
    return Table(f"{figures['split']}, months", ("images", *FIGURE_COLUMNS.values()), rows)


def _refusal_table(figures: Mapping[str, Any]) -> Table:
    counts = figures["refusals"]
    codes = dict.fromkeys(code for row in counts.values() for code in row)
    rows = [
        (code, *(str(row.get(code, 0)) for row in counts.values()), Refusal(ReasonCode(code)).sentence)
        for code in codes
    ]
    columns = ("reason", *map(words, counts), "meaning")
    return Table("Refusals", columns, rows, "" if rows else "No image was refused.")


def _network_table(population: str, networks: Mapping[str, Any], note: str) -> Table:
    columns = tuple(next(iter(networks.values())))
    rows = [(name, *map(_cell, row.values())) for name, row in networks.items()]
    return Table(f"MAE by network, {words(population)}, months", ("network", *columns), rows, note)


def _stage_table(population: str, group: str, stages: Mapping[str, Any], note: str) -> Table:
    heads = [name.replace(" puberty", "\npuberty").replace("-puberty", "-\npuberty") for name in stages]
    counted = group if group != UNTOLD else "all"
    rows = [("images", *(str(row["images"][counted]) for row in stages.values()))]
    networks = next(iter(stages.values()))["mae_months"]
    for name in networks:
        rows.append((name, *(_cell(row["mae_months"][name][group]) for row in stages.values())))
    title = f"MAE by stage of development, {words(population)}, {group}, months"
    return Table(title, ("network", *heads), rows, note)


def _stage_note() -> str:
    starts = ", ".join(
        f"{stage.name} {stage.girls_from_months:g} and {stage.boys_from_months:g}" for stage in STAGES[1:]
    )
    return f"Stages begin at these months of labelled age of girls and boys: {starts}."


def _interval_table(population: str, bands: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            f"{SEX_NAMES[Sex(band['sex'])]}, {_years(band['from_months'], band['to_months'])}",
            str(band["images"]),
            f"±{band['half_width_months']:.1f}",
            _share(band["interval_coverage"]),
        )
        for band in bands
    ]
    columns = ("bone age read", "n", "half width", "coverage")
    return Table(f"Interval by sex and age, {words(population)}, months", columns, rows, _INTERVAL_NOTE)


def _years(from_months: float, to_months: float | None) -> str:
    start = f"{from_months / 12:g}"
    return f"{start} years and over" if to_months is None else f"{start} to {to_months / 12:g} years"


def _annotated_table(finding: Mapping[str, Any]) -> Table:
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


def _unknown_table(parts: Mapping[str, Any]) -> Table:
    rows = [
        (
            words(name),
            str(row["images"]),
            str(row["refused"]),
            _cell(row.get("mae_months")),
            _share(row.get("interval_coverage")),
            _cell(row.get("interval_width_months")),
            _cell(row.get("interval_width_sex_known_months")),
        )
        for name, row in parts.items()
    ]
    columns = ("images", "n", "refused", "MAE", "coverage", "width", "width,\nsex known")
    note = "Widths are from the lower to the upper end of the interval, on average."
    return Table("Sex unknown, read as both, months", columns, rows, note)


def _stress_table(stress: list[dict[str, Any]]) -> Table:
    rows = [
        (
            f"{row['transformation']}, {row['variant']}",
            str(row["read_both_ways"]),
            _cell(row["mae_months"]),
            "-" if row["mae_change_months"] is None else f"{row['mae_change_months']:+.2f}",
            _share(row["large_changes"]),
            str(row["newly_refused"]),
        )
        for row in stress
    ]
    columns = ("transformation", "n", "MAE", "change\nin MAE", "moved over\n12 months", "newly\nrefused")
    note = "On the images that are read both as they are and transformed; months."
    return Table("Stress test, high resolution", columns, rows, note)


def _phantom_table(phantoms: Mapping[str, Any]) -> Table:
    rows = [
        (
            name,
            str(row["images"]),
            str(row["refused"]),
            _cell(row.get("rank_correlation")),
            _cell(row.get("mae_months")),
            _cell(row.get("bias_months")),
        )
        for name, row in ((name, phantoms[name]) for name in ("all", "boys", "girls"))
    ]
    reasons = ", ".join(f"{code} {count}" for code, count in phantoms["refusals"].items())
    columns = ("phantoms", "n", "refused", "rank\ncorrelation", "MAE", "bias")
    return Table("Drawn hands, months", columns, rows, f"Refused: {reasons or 'none'}.")


def _finding_table(phantoms: Mapping[str, Any]) -> Table:
    iou, points = phantoms["mask_iou"], phantoms["key_points"] or {}
    rows = [("hand mask, IoU", _cell(iou["mean"]), f"least {iou['least']:.2f}")] if iou else []
    for name, row in points.items():
        label = "key points, all" if name == "all" else f"key point, {words(name)}"
        rows.append((label, _share(row["median"]), f"95th percentile {_share(row['percentile_95'])}"))
    return Table("Mask and key points of drawn hands", ("", "typical", "worst"), rows, _FINDING_NOTE)
