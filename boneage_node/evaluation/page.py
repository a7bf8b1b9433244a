"""The report of an evaluation as one HTML file that needs nothing beside it, on screen and in print."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

from . import plots as plots
from .readings import ENSEMBLE
from .report import Evaluation
from .strata import populations
from .tables import Table, reported, tables, words

PAGE_FILE = "report.html"

_ERRORS = "Reading minus label, in months. High-resolution images (400 pixels or more) are what a node sees."
_NETWORKS = "Mean absolute error of each network and head alone, and of the ensemble, which is the reading."
_STAGES = "As Gilsanz and Ratib divide the growth of the hand; few images make a figure uncertain."
_FINDING = "On held-out radiographs that people annotated."
_UNKNOWN = "Each hand read as a boy's and as a girl's: the reading is the mean, the interval holds both."
_REFUSALS = "Every image here is a hand, so every refusal is a false one."
_STRESS = (
    "The seven transformations of a published stress test of a bone-age model (Santomartino et al., "
    "Radiology: Artificial Intelligence 2024). Dashed: one month, the most that any should cost."
)
_PHANTOMS = "Drawn radiographs, of which age, hand mask and key points are known. Line: read as drawn."

_STYLE = """
:root { color: #1d2329; background: #fff; font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
body { max-width: 60rem; margin: 2.2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; }
p { margin: .4rem 0; } .quiet, figcaption, caption p { color: #59636e; font-size: .87rem; }
.cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: .8rem; margin: 1.4rem 0; }
.card { border: 1px solid #d5dbe1; border-radius: 8px; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: #59636e; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 1.4rem; font-size: .9rem;
  font-variant-numeric: tabular-nums; break-inside: avoid; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
caption p { font-weight: 400; margin: 0; }
th, td { text-align: right; padding: .26rem .5rem; border-bottom: 1px solid #e4e8ec; vertical-align: bottom; }
thead th { white-space: pre-line; border-bottom: 1.5px solid #59636e; font-weight: 600; line-height: 1.25; }
th:first-child { text-align: left; padding-left: 0; } tbody th { font-weight: 400; }
table.worded th:last-child, table.worded td:last-child { text-align: left; }
tr.ensemble > * { font-weight: 600; }
figure { margin: 1rem 0 1.4rem; break-inside: avoid; } svg { max-width: 100%; height: auto; }
footer { margin-top: 2.6rem; border-top: 1px solid #d5dbe1; padding-top: .6rem; }
@page { margin: 14mm; }
@media print { :root { font-size: 11.5px; } body { margin: 0; max-width: none; padding: 0; }
  h2 { break-after: avoid; } }
"""


def write_page(evaluation: Evaluation, folder: Path, day: date) -> Path:
    """Write the report; gives the file. It is well-formed XML, too."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PAGE_FILE
    file.write_text(_page(evaluation, day), encoding="utf-8")
    return file


def _page(evaluation: Evaluation, day: date) -> str:
    found = evaluation.figures()
    title = f"{evaluation.model}: {evaluation.split}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"/><title>{escape(title)}</title><style>{_STYLE}</style></head>
<body>
<h1>How well bone ages are read</h1>
<p class="quiet">Model {escape(evaluation.model)} · {escape(evaluation.split)} images · {found["software"]} ·
{day.isoformat()}</p>
{f"<p><b>{escape(evaluation.doubt)}</b></p>" if evaluation.doubt else ""}
{_cards(found)}
{"".join(_sections(evaluation, found, tables(found)))}
<footer class="quiet"><p>{escape(evaluation.manifest.terms)}</p></footer>
</body>
</html>
"""


def _cards(found: Mapping[str, Any]) -> str:
    """The headline, of the high-resolution images where there are any."""
    sharp = found["figures"]["high_resolution"]
    row = sharp if sharp["images"] else found["figures"]["all"]
    of = "high-resolution" if sharp["images"] else "low-resolution"
    refused = row["refused"]
    cards = [("-", "mean absolute error"), ("-", "mean error"), ("-", "of labels inside the interval")]
    if "mae_months" in row:
        cards = [
            (f"{row['mae_months']:.1f} mo", "mean absolute error"),
            (f"{row['bias_months']:+.1f} mo", "mean error (reading minus label)"),
            (
                f"{row['interval_coverage']:.1%}",
                f"of labels inside the {found['nominal_coverage']:.0%} interval",
            ),
        ]
    cards.append((f"{refused} of {row['images']}", f"{of} images refused ({refused / row['images']:.1%})"))
    shown = "".join(f'<div class="card"><b>{big}</b><span>{small}</span></div>' for big, small in cards)
    return f'<div class="cards">{shown}</div>'


def _sections(evaluation: Evaluation, found: Mapping[str, Any], shown: Mapping[str, Table]) -> list[str]:
    """The page below the headline."""

    def every(start: str) -> list[str]:
        return [_table(table) for name, table in shown.items() if name.startswith(start)]

    return [
        _section("Errors", _ERRORS, *every("figures")),
        _section("Networks and sex", _NETWORKS, *every("networks")),
        _section("Stages of skeletal development", _STAGES, *every("stages")),
        *_plots(evaluation, found, every("intervals")),
        *([_section("Finding the hand", _FINDING, *every("finding"))] if found["finding"] else []),
        _section("Sex unknown", _UNKNOWN, *every("sex unknown")),
        _section("Refusals", _REFUSALS, *every("refusals")),
        *_asked_for(evaluation, shown),
    ]


def _plots(evaluation: Evaluation, found: Mapping[str, Any], intervals: list[str]) -> list[str]:
    population = "high_resolution" if found["figures"]["high_resolution"]["images"] else "all"
    own = populations(evaluation.readings)[population]
    bands = {words(key).capitalize(): found["bands"][key] for key in reported(found)}
    return [
        _section(
            "Agreement with the labels",
            f"Bland-Altman plot, {words(population)}. Solid: the mean difference; dashed: the 95% limits of "
            "agreement, mean ± 1.96 standard deviations.",
            _figure(plots.bland_altman(own), "Bland-Altman plot"),
        ),
        _section(
            "Error by age",
            "Bars: mean absolute error; diamonds: mean error; numbers: images read.",
            _figure(plots.error_by_age(bands), "Error by age"),
        ),
        _section(
            "Interval by age",
            "Share of labels inside the interval, with 95% confidence intervals. Dashed: "
            f"{found['nominal_coverage']:.0%}, which the interval promises. Measured: {_measured(found)}.",
            _figure(plots.coverage_by_age(bands, found["nominal_coverage"]), "Coverage by age"),
            *intervals,
        ),
    ]


def _measured(found: Mapping[str, Any]) -> str:
    """Coverage of each row of the figures that has one."""
    rows = found["figures"].items()
    return ", ".join(
        f"{words(name)} {row['interval_coverage']:.1%}" for name, row in rows if "interval_coverage" in row
    )


def _asked_for(evaluation: Evaluation, shown: Mapping[str, Table]) -> list[str]:
    """Stress test and drawn hands, where they were read."""
    sections = []
    if evaluation.stress is not None:
        stress = _figure(plots.stress_changes(evaluation.stress), "Change in error")
        sections.append(_section("Stress test", _STRESS, stress, _table(shown["stress"])))
    if evaluation.phantoms is not None:
        ages = _figure(plots.phantom_ages(evaluation.phantoms), "Age read against age drawn")
        found = [_table(shown[name]) for name in ("phantoms", "phantom finding")]
        sections.append(_section("Drawn hands", _PHANTOMS, ages, *found))
    return sections


def _section(heading: str, text: str, *parts: str) -> str:
    return f"<section><h2>{heading}</h2><p>{text}</p>{''.join(parts)}</section>\n"


def _figure(svg: str, what: str) -> str:
    return f'<figure role="img" aria-label="{what}">{svg}</figure>'


def _table(table: Table) -> str:
    if not table.rows:
        return f"<p>{escape(table.note)}</p>"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    body = "".join(_row(*row) for row in table.rows)
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    worded = ' class="worded"' if table.columns[-1] == "meaning" else ""
    return (
        f"<table{worded}><caption>{escape(table.title)}{note}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(first: str, *cells: str) -> str:
    kind = ' class="ensemble"' if first.startswith(ENSEMBLE) else ""
    columns = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{escape(first)}</th>{columns}</tr>'
