"""``boneage-node train``: from labelled radiographs to a model the node can use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import progress_bar

app = typer.Typer(
    no_args_is_help=True, help="Train models on the RSNA 2017 download, or on data laid out like it."
)

_OUTLINES = Path("annotations/hand_outlines.json")


@app.command("whole-hand")
def whole_hand(
    data: Annotated[
        Path, typer.Option(help="Folder with boneage-training-dataset.csv and the images beside it.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, metrics and the model.")] = Path(
        "runs/whole-hand"
    ),
    outlines: Annotated[
        Path | None,
        typer.Option(
            help="JSON of hand-drawn outlines to train the hand mask from. Default: "
            f"DATA/{_OUTLINES} where it exists, else the hand mask of the default model is taken."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the age network.")] = 9000,
    segmentation_steps: Annotated[int, typer.Option(min=1, help="Optimiser steps of the hand mask.")] = 1400,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
) -> None:
    """Train the whole-hand model: hand mask, crops, age network, intervals, figures, model card.

    An interrupted run goes on where it was when the same command is given again. Progress is shown, and
    measured every 250 steps into OUT/metrics.jsonl. The finished model is OUT/model: use it with
    --model OUT/model.

    Example: boneage-node train whole-hand --data ~/rsna --out runs/whole-hand
    """
    from boneage_node.bone_age.manifest import ModelError
    from boneage_node.training.age import AgeRecipe
    from boneage_node.training.data import DataError
    from boneage_node.training.whole_hand import WholeHandRun

    if outlines is None and (data / _OUTLINES).is_file():
        outlines = data / _OUTLINES
    recipe = AgeRecipe(steps=steps, seed=seed)
    run = WholeHandRun(data, out, recipe, segmentation_steps, outlines, device)
    try:
        folder = run.run(progress_bar)
    except (DataError, ModelError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo((folder / "MODEL_CARD.md").read_text())
