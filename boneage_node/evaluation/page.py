"""The report of an evaluation as one HTML file that needs nothing beside it, on screen and in print."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from . import plots
from .report import Evaluation
from .strata import populations
from .tables import reported, tables, words

PAGE_FILE = "report.html"

_TEMPLATES = Environment(
    loader=PackageLoader("boneage_node.evaluation"),
    autoescape=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)


def write_page(evaluation: Evaluation, folder: Path, day: date) -> Path:
    """Write the report; gives the file. It is well-formed XML, too."""
    figures = evaluation.figures()
    population = "high_resolution" if figures["figures"]["high_resolution"]["images"] else "all"
    page = _TEMPLATES.get_template(PAGE_FILE).render(
        evaluation=evaluation,
        figures=figures,
        population=population,
        nominal=f"{figures['nominal_coverage']:.0%}",
        tables=tables(figures),
        plots=_plots(evaluation, figures, population),
        day=day.isoformat(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PAGE_FILE
    file.write_text(page, encoding="utf-8")
    return file


def _plots(evaluation: Evaluation, figures: Mapping[str, Any], population: str) -> dict[str, Markup]:
    """The plots as SVG elements, by the names that the template has for them."""
    bands = {words(name).capitalize(): figures["bands"][name] for name in reported(figures)}
    with mpl.rc_context(plots.STYLE):
        drawn = {
            "agreement": plots.bland_altman(populations(evaluation.frame)[population]),
            "errors": plots.error_by_age(bands),
            "coverage": plots.coverage_by_age(bands, figures["nominal_coverage"]),
        }
        if evaluation.stress is not None:
            drawn["stress"] = plots.stress_changes(evaluation.stress)
        if evaluation.phantoms is not None:
            drawn["phantoms"] = plots.phantom_ages(evaluation.phantoms)
        return {name: Markup(plots.svg(one, name)) for name, one in drawn.items()}  # noqa: S704 (our drawing)
