"""``boneage-node evaluate``: measure a model on labelled radiographs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import DeviceOption, JsonOption, ModelOption, out, plain_table, progress_bar, require_train_extra

if TYPE_CHECKING:
    from boneage_node.bone_age import Answer
    from boneage_node.bone_age.predictor import Predictor
    from boneage_node.datasets.rsna import Example
    from boneage_node.evaluation.phantoms import PhantomReading
    from boneage_node.evaluation.readings import Reading
    from boneage_node.evaluation.report import Evaluation
    from boneage_node.evaluation.tables import Table

_SEED = 2017


def evaluate(
    data: Annotated[
        Path, typer.Option(help="Folder with boneage-training-dataset.csv and the images beside it.")
    ],
    model: ModelOption = None,
    split: Annotated[str, typer.Option(help="train, calibration or validation.")] = "validation",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Read a sample of so many images, drawn by resolution, sex and bone age."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for evaluation.json, with a row an image, and report.html."),
    ] = None,
    as_json: JsonOption = False,
    stress: Annotated[
        bool,
        typer.Option("--stress", help="Read the high-resolution images also turned, inverted, cropped …"),
    ] = False,
    precision: Annotated[
        int,
        typer.Option(min=0, help="Read so many high-resolution images re-taken: how far readings lie apart."),
    ] = 0,
    phantoms: Annotated[
        int,
        typer.Option(min=0, help="Read so many drawn hands of known age, too, and as many drawn non-hands."),
    ] = 0,
    card: Annotated[
        bool,
        typer.Option("--card", help="Write the figures into the model's own manifest and card."),
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Read every image of a split and print the errors, in months.

    High-resolution images come first: they are what a node sees. Each image is read as the node reads it,
    from the whole radiograph to the interval, as many at a time as there are cores.

    \b
    Examples:
      boneage-node evaluate --data ~/rsna --limit 50
      boneage-node evaluate --data ~/rsna --out report --stress --precision 200 --phantoms 200
    """  # noqa: D301 - click reads the backspace
    require_train_extra()
    if card and (split != "validation" or limit):
        raise NodeError(
            ExitCode.USAGE,
            "--card goes with the whole of --split validation, without --limit: a card holds nothing else.",
        )
    from boneage_node.evaluation.report import Evaluation
    from boneage_node.evaluation.sample import draw_sample
    from boneage_node.reading.study import load_predictor

    every = _examples(data, split)
    examples = [example for example in every if example.split == split]
    sample = draw_sample(examples, limit, _SEED) if limit and limit < len(examples) else None
    predictor = load_predictor(model, device)
    doubt = _doubt(predictor, every, split, card)
    readings = _read(predictor, sample.examples if sample else examples, split)
    evaluation = Evaluation(
        predictor.manifest,
        split,
        readings,
        finding=_finding(predictor, data, every, limit),
        stress=_stress(predictor, readings) if stress else None,
        precision=_precision(predictor, readings, precision) if precision else None,
        phantoms=_phantoms(predictor, phantoms) if phantoms else None,
        non_hands=_non_hands(predictor, phantoms) if phantoms else None,
        doubt=doubt,
        sample=str(sample or ""),
    )
    figures = evaluation.figures()
    if card:
        _write_card(model, predictor, figures)
    _show(evaluation, figures, report, as_json)


def _doubt(predictor: Predictor, every: list[Example], split: str, card: bool) -> str:
    """Warn at once where the figures may be too good; refuse a card from another split of the data."""
    from boneage_node.datasets.held_out import reason_to_doubt, split_differs

    if split == "train":
        return ""  # nobody takes these for held out
    reason = reason_to_doubt(predictor.manifest, every)
    if card and split_differs(predictor.manifest, every):
        raise NodeError(ExitCode.USAGE, f"--card is not written. {reason}")
    if reason:
        typer.echo(f"Warning: {reason}", err=True)
    return reason


def _show(evaluation: Evaluation, figures: dict[str, Any], report: Path | None, as_json: bool) -> None:
    """Print the figures, and write the report where asked."""
    from boneage_node.evaluation.tables import tables

    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _print([evaluation.model, evaluation.sample], tables(figures).values())
    if report:
        from boneage_node.evaluation.page import write_page

        files = evaluation.write_json(report), write_page(evaluation, report, date.today())
        typer.echo(f"Written: {', '.join(map(str, files))}", err=True)


def _write_card(model: str | None, predictor: Predictor, figures: dict[str, Any]) -> None:
    from boneage_node.bone_age import model_zoo
    from boneage_node.models.packing import write_manifest

    folder = model_zoo.model_dir(model)
    repeatability_months = (figures["precision"] or {}).get("repeatability_months")
    measured = {"metrics": figures, "repeatability_months": repeatability_months}
    write_manifest(folder, predictor.manifest.model_copy(update=measured))
    typer.echo(f"Written: {folder}", err=True)


def _examples(data: Path, split: str) -> list[Example]:
    """All examples of the data; there is at least one in the split."""
    from boneage_node.datasets.rsna import SPLITS, DataError, read_examples

    if split not in SPLITS:
        raise NodeError(ExitCode.USAGE, f"--split is one of {', '.join(SPLITS)}.")
    try:
        examples = read_examples(data)
    except DataError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    if not any(example.split == split for example in examples):
        raise NodeError(ExitCode.USAGE, f"{data} has no image in the split '{split}'.")
    return examples


def _read(predictor: Predictor, examples: list[Example], split: str) -> list[Reading]:
    from boneage_node.evaluation.readings import read_all

    with progress_bar(split, len(examples)) as advance:
        return read_all(predictor, examples, lambda done: advance(done, ""), untold=True)


def _finding(predictor: Predictor, data: Path, every: list[Example], limit: int | None) -> dict[str, Any]:
    from boneage_node.datasets.annotations import KEY_POINTS_FILE, OUTLINES_FILE
    from boneage_node.evaluation.finding import finding_figures

    if not any((data / file).is_file() for file in (KEY_POINTS_FILE, OUTLINES_FILE)):
        return {}
    with progress_bar("annotations", None) as advance:
        return finding_figures(predictor.finder, data, every, lambda done: advance(done, ""), limit)


def _stress(predictor: Predictor, readings: list[Reading]) -> list[dict[str, Any]]:
    from boneage_node.evaluation.crops import read_crops
    from boneage_node.evaluation.stress import read_variants, stress_table

    sharp = [reading for reading in readings if reading.sharp]
    with progress_bar("stress", len(sharp)) as advance:
        rows = stress_table(sharp, read_variants(predictor, sharp, lambda done: advance(done, "")))
    with progress_bar("crops", len(sharp)) as advance:
        return rows + read_crops(predictor, sharp, lambda done: advance(done, ""))


def _precision(predictor: Predictor, readings: list[Reading], count: int) -> dict[str, Any]:
    from boneage_node.evaluation.precision import draw_hands, precision_table, read_retakes

    hands = draw_hands(readings, count, _SEED)
    with progress_bar("re-takes", len(hands)) as advance:
        return precision_table(read_retakes(predictor, hands, lambda done: advance(done, "")))


def _phantoms(predictor: Predictor, count: int) -> list[PhantomReading]:
    from boneage_node.evaluation.phantoms import read_phantoms
    from boneage_node.phantom.series import draw_series

    with progress_bar("drawn hands", count) as advance:
        return read_phantoms(predictor, draw_series(count, _SEED), lambda done: advance(done, ""))


def _non_hands(predictor: Predictor, count: int) -> list[tuple[str, Answer]]:
    from boneage_node.evaluation.non_hands import read_non_hands

    with progress_bar("drawn non-hands", count) as advance:
        return read_non_hands(predictor, count, _SEED, lambda done: advance(done, ""))


def _print(head: Iterable[str], shown: Iterable[Table]) -> None:
    out.print(*filter(None, head), sep="\n", highlight=False)
    for table in shown:
        printed = plain_table(*table.columns)
        for row in table.rows:
            printed.add_row(*row)
        out.print(f"\n{table.title}", style="bold")
        if table.rows:
            out.print(printed)
        if table.note:
            out.print(table.note, style="dim", highlight=False)
