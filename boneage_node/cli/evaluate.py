"""``boneage-node evaluate``: how well a model reads labelled radiographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .common import out, progress_bar

_COLUMNS = {
    "images": "n",
    "refused": "refused",
    "mae_months": "MAE",
    "median_absolute_error_months": "median",
    "rmse_months": "RMSE",
    "bias_months": "bias",
    "interval_coverage": "coverage",
}


def evaluate(
    data: Annotated[
        Path, typer.Option(help="Folder with boneage-training-dataset.csv and the images beside it.")
    ],
    model: Annotated[str, typer.Option(help="Model of the zoo, or a folder with a manifest.")] = "whole-hand",
    split: Annotated[str, typer.Option(help="train, calibration or validation.")] = "validation",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read every image of a split and print the errors, in months.

    High-resolution images come first: they are what a node sees. Each image is read through the same door
    that the node uses, from the whole radiograph to the interval.

    Example: boneage-node evaluate --data ~/rsna --json
    """
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import ModelError
    from boneage_node.bone_age.predictor import Predictor
    from boneage_node.training.data import SPLITS, DataError, read_examples
    from boneage_node.training.evaluation import read_all, summary

    if split not in SPLITS:
        raise typer.BadParameter(f"one of {', '.join(SPLITS)}", param_hint="--split")
    try:
        examples = [example for example in read_examples(data) if example.split == split]
        predictor = Predictor.load(model_zoo.model_dir(model), device)
    except (DataError, ModelError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    with progress_bar(split, len(examples)) as advance:
        figures = summary(read_all(predictor, examples, lambda done: advance(done, "")))
    if as_json:
        typer.echo(json.dumps({"model": str(predictor.identity), "split": split, "figures": figures}))
        return
    table = Table("images", *_COLUMNS.values(), title=f"{predictor.identity}: {split}, months")
    for name, row in figures.items():
        table.add_row(name.replace("_", " "), *(str(row.get(key, "-")) for key in _COLUMNS))
    out.print(table)
