"""The plots of an evaluation, as SVG elements for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from boneage_node.bone_age import Assessment, Sex
from boneage_node.report.picture.style import AMBER, CHART_GRID, GREY, KEY_POINT, OUTLINE

from .phantoms import PhantomReading
from .readings import rounded
from .strata import SEX_NAMES


def _on_paper(colour: tuple[int, int, int], light: float) -> tuple[float, ...]:
    """A colour of the picture, which is dark, made as dark as it has to be on white paper."""
    return tuple(min(1.0, light * value / 255) for value in colour)


COLOURS = {Sex.MALE: _on_paper(OUTLINE, 0.62), Sex.FEMALE: _on_paper(AMBER, 0.82)}
"""Of boys and girls: the two that the picture's growth chart draws readings in."""

_INK, _GRID = _on_paper(CHART_GRID, 0.9), _on_paper(GREY, 1.3)
_TOO_MUCH, _PLAIN = _on_paper(KEY_POINT, 0.8), _on_paper(GREY, 0.8)
_LINE, _THIN = 1.2, 0.6
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": _THIN,
    "legend.frameon": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
}
"""Matplotlib's settings, within which all that follows is drawn."""

Bands = Mapping[str, Sequence[Mapping[str, Any]]]
"""``strata.band_table`` of each population, by a title for it."""


def bland_altman(frame: pd.DataFrame) -> Figure:
    """Reading minus label against the mean of both, by sex, with mean and 95% limits of agreement.

    Source: Bland and Altman, Lancet 1986;1:307-310: the limits are the mean difference ± 1.96 SD.

    Args:
        frame: A ``strata.reading_frame``.
    """
    figure = Figure(figsize=(9.2, 3.9), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for sex, axes in zip(COLOURS, panels, strict=True):
        read = frame[frame["sex"] == sex].dropna(subset="error")
        means = (read["months"] + read["label"]) / 2
        axes.scatter(means, read["error"], s=12, alpha=0.75, color=COLOURS[sex], lw=0)
        axes.set_title(f"{SEX_NAMES[sex].capitalize()}, n = {len(read)}")
        axes.set_xlabel("mean of reading and label, months")
        axes.axhline(0, color=_INK, lw=_THIN)
        axes.grid(axis="y")
        if len(read) > 1:
            _agreement_lines(axes, read["error"].to_numpy())
    panels[0].set_ylabel("reading minus label, months")
    return figure


def _agreement_lines(axes: Axes, differences: npt.NDArray[np.float64]) -> None:
    mean, spread = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    for height, dashes, word in (
        (mean, "-", "mean"),
        (mean - spread, "--", "-1.96 SD"),
        (mean + spread, "--", "+1.96 SD"),
    ):
        axes.axhline(height, color=_INK, lw=_LINE, ls=dashes)
        axes.annotate(
            f"{word} {rounded(height, 1):+.1f}",
            (1, height),
            xytext=(0, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=8.5,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )


def error_by_age(bands: Bands) -> Figure:
    """Mean absolute error (bars) and mean error (diamonds) by two years of labelled age and sex."""
    figure, panels = _band_panels(bands)
    for axes, rows in zip(panels, bands.values(), strict=True):
        for sex, colour in COLOURS.items():
            own = [row for row in rows if row["sex"] == sex and "mae_months" in row]
            x = _places(own, sex)
            bars = axes.bar(x, [row["mae_months"] for row in own], 0.38, color=colour)
            counts = [str(row["images"] - row["refused"]) for row in own]
            axes.bar_label(bars, counts, fontsize=7.5, color=_INK, padding=1)
            axes.plot(x, [row["bias_months"] for row in own], "D", ms=4, color="white", mec=_INK, mew=0.9)
        axes.axhline(0, color=_INK, lw=_THIN)
        axes.set_ylabel("months")
    return figure


def coverage_by_age(bands: Bands, nominal: float) -> Figure:
    """Share of labels inside the interval by age and sex, with 95% Wilson confidence intervals."""
    figure, panels = _band_panels(bands)
    for axes, rows in zip(panels, bands.values(), strict=True):
        for sex, colour in COLOURS.items():
            own = [row for row in rows if row["sex"] == sex and "interval_coverage" in row]
            shares = np.array([row["interval_coverage"] for row in own])
            ends = np.array(
                [_wilson(row["interval_coverage"], row["images"] - row["refused"]) for row in own]
            ).reshape(-1, 2)
            axes.errorbar(
                _places(own, sex),
                shares,
                np.maximum(0, [shares - ends[:, 0], ends[:, 1] - shares]),
                fmt="o",
                ms=4.5,
                lw=_LINE,
                color=colour,
            )
        axes.axhline(nominal, color=_INK, lw=_LINE, ls="--")
        axes.set_ylim(min(0.5, axes.get_ylim()[0]), 1.02)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    return figure


def _wilson(share: float, count: int) -> tuple[float, float]:
    interval = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _band_panels(bands: Bands) -> tuple[Figure, list[Axes]]:
    """A panel for each population over the same bands of age."""
    figure = Figure(figsize=(9.2, 0.4 + 2.5 * len(bands)), layout="constrained")
    panels = list(figure.subplots(len(bands), 1, sharex=True, squeeze=False)[:, 0])
    every = {row["from_months"]: row["to_months"] for rows in bands.values() for row in rows}
    labels = {
        start: f"{start // 12}-{end // 12}" if end else f"{start // 12}+" for start, end in every.items()
    }
    panels[-1].set_xticks([start / 24 for start in sorted(labels)], [labels[s] for s in sorted(labels)])
    panels[-1].set_xlabel("labelled bone age, years")
    for axes, title in zip(panels, bands, strict=True):
        axes.set_title(title)
        axes.grid(axis="y")
        for sex, colour in COLOURS.items():
            axes.plot([], [], "s", color=colour, label=SEX_NAMES[sex])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2)
    return figure, panels


def _places(rows: Sequence[Mapping[str, Any]], sex: Sex) -> npt.NDArray[np.float64]:
    return np.array([row["from_months"] / 24 for row in rows]) + (-0.2 if sex is Sex.MALE else 0.2)


def stress_changes(stress: Sequence[Mapping[str, Any]]) -> Figure:
    """Change in mean absolute error of each variant, in months; the goal is at most one."""
    figure = Figure(figsize=(9.2, 0.7 + 0.27 * len(stress)), layout="constrained")
    axes = figure.subplots()
    names = [f"{row['transformation']}, {row['variant']}" for row in stress]
    changes = [row["mae_change_months"] or 0.0 for row in stress]
    axes.barh(names, changes, color=[_TOO_MUCH if change > 1 else _PLAIN for change in changes])
    axes.axvline(0, color=_INK, lw=_THIN)
    axes.axvline(1, color=_INK, lw=_LINE, ls="--")
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.set_xlabel("change in mean absolute error, months")
    return figure


def phantom_ages(phantoms: Sequence[PhantomReading]) -> Figure:
    """Age read against the drawn age, by sex."""
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 240], [0, 240], color=_INK, lw=_LINE)
    axes.set(xlim=(0, 240), ylim=(0, 240))
    for sex, colour in COLOURS.items():
        own = [p for p in phantoms if p.sex is sex]
        pairs = [(p.age_months, p.answer.bone_age_months) for p in own if isinstance(p.answer, Assessment)]
        drawn, read = np.array(pairs).reshape(-1, 2).T
        axes.scatter(drawn, read, s=16, alpha=0.7, lw=0, color=colour, label=SEX_NAMES[sex])
    axes.set_xlabel("age drawn, months")
    axes.set_ylabel("bone age read, months")
    axes.grid()
    axes.legend()
    return figure


def svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element; the same figure gives the same text, and ids differ from plot to plot."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", drawn[drawn.index("<svg") :])
