"""``boneage-node train``: from labelled radiographs to a model the node can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import progress_bar, require_train_extra

if TYPE_CHECKING:
    from boneage_node.training.model import ModelRun

app = typer.Typer(
    no_args_is_help=True,
    help="Train models on the RSNA 2017 download, or on data laid out like it.\n\n"
    "Each command trains what it needs and is not yet in OUT, shows progress, measures every 250 steps and "
    "at the end of a fit into metrics.jsonl, and goes on where it was interrupted when it is given again. "
    "For several GPUs: torchrun --nproc-per-node 4 -m boneage_node train all …",
)

Data = Annotated[
    Path, typer.Option(help="Folder with boneage-training-dataset.csv and the images beside it.")
]
Out = Annotated[Path, typer.Option(help="Folder for checkpoints, metrics and the model.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda:N.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps; default: as the shipped model.")]
Family = Annotated[
    str, typer.Option(help="regions (VGG-like, the paper's) or inception (Inception v3, the winner's).")
]
LearningRate = Annotated[float | None, typer.Option(help="Peak of the learning rate; default: 0.002.")]
Start = Annotated[
    str | None,
    typer.Option(
        help="Name or folder of a model with whose weights the age networks begin, to go on learning from "
        "other data or at another size. Take about a third of the learning rate and a tenth of the steps."
    ),
]
_RUNS = Path("runs/bone-age")


@app.command()
def segmentation(
    data: Data,
    out: Out = _RUNS,
    steps: Steps = None,
    rounds: Annotated[int | None, typer.Option(min=0, help="Rounds of mining.")] = None,
    round_steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps a round.")] = None,
    round_images: Annotated[
        int | None, typer.Option(min=1, help="Radiographs that each round adds to those it looks at.")
    ] = None,
    seed: Seed = 1,
    device: Device = "auto",
) -> None:
    """Train the hand mask from DATA/annotations/hand_outlines.json, then by positive mining.

    Each round writes OUT/segmentation/round-N/contact-sheet-1.png and so on: accepted masks above, rejected
    below. To strike bad ones, write their ids into OUT/segmentation/strike.txt, delete the folders of the
    rounds that looked at them and of those after, and give the command again.
    """
    require_train_extra()
    from boneage_node.training.segmentation import SegmentationRecipe

    recipe = _recipe(
        SegmentationRecipe,
        steps=steps,
        rounds=rounds,
        round_steps=round_steps,
        round_images=round_images,
        seed=seed,
    )
    _run(lambda run: run.train_segmentation(), data=data, out=out, segmentation=recipe, device=device)


@app.command()
def registration(
    data: Data, out: Out = _RUNS, steps: Steps = None, seed: Seed = 1, device: Device = "auto"
) -> None:
    """Train the key-point network from DATA/annotations/keypoints.csv."""
    require_train_extra()
    from boneage_node.training.model import finder_recipes
    from boneage_node.training.registration import RegistrationRecipe

    recipes: dict[str, Any] = dict(finder_recipes(out, seed))
    recipes["registration"] = _recipe(RegistrationRecipe, steps=steps, seed=seed)
    _run(lambda run: run.train_registration(), data=data, out=out, device=device, **recipes)


@app.command()
def age(
    data: Data,
    out: Out = _RUNS,
    family: Family = "regions",
    member: Annotated[
        str | None,
        typer.Option(help="Train this network only, e.g. B, so that several machines share the work."),
    ] = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Images a step.")] = None,
    learning_rate: LearningRate = None,
    start: Start = None,
    seed: Seed = 1,
    device: Device = "auto",
) -> None:
    """Cut all hands once and train the age networks on them."""
    given = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "seed": seed}
    settings: dict[str, Any] = {"data": data, "out": out, "family": family, "start": start, "device": device}
    _run_ages(lambda run: run.train_age(member), given, **settings)


@app.command()
def recognition(
    data: Data,
    model: Annotated[str | None, typer.Option(help="Name or folder of the model.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the model with its test.")] = _RUNS / "recognition",
    seed: Seed = 1,
    device: Device = "auto",
) -> None:
    """Let a finished model learn what a hand is, and write it into OUT; its ages and intervals stay.

    What train all does for the model that it trains. Measure the result with evaluate --model OUT --card.
    """
    require_train_extra()
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import ModelError
    from boneage_node.datasets.rsna import DataError, read_examples
    from boneage_node.training.assembly import add_recognition
    from boneage_node.training.recognition import RecognitionRecipe

    recipe = RecognitionRecipe(seed=seed)
    try:
        folder = model_zoo.model_dir(model)
        manifest = add_recognition(folder, out, read_examples(data), recipe, progress_bar, device)
    except (DataError, ModelError) as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    typer.echo(f"Written: {out}, {manifest.identity}")


@app.command(name="all")
def all_(
    data: Data,
    out: Out = _RUNS,
    family: Family = "regions",
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps of each age network.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Images a step of an age network.")] = None,
    learning_rate: LearningRate = None,
    start: Start = None,
    seed: Seed = 1,
    device: Device = "auto",
) -> None:
    """Hand mask, key points, age networks, ensemble, intervals, figures, model card: OUT/model.

    Example: boneage-node train all --data ~/rsna --out runs/bone-age, then use it with --model
    runs/bone-age/model.
    """
    given = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "seed": seed}
    settings: dict[str, Any] = {"data": data, "out": out, "family": family, "start": start, "device": device}
    folder = _run_ages(lambda run: run.finish(), given, **settings)
    typer.echo((folder / "MODEL_CARD.md").read_text())


def _recipe(default: Any, **given: Any) -> Any:
    """A recipe with what was given on the command line, and the defaults of the rest."""
    recipe = default() if isinstance(default, type) else default
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _run_ages(
    work: Callable[[ModelRun], Any], given: dict[str, Any], *, out: Path, start: str | None, **settings: Any
) -> Any:
    """Train age networks with the recipe given, on hand mask and key points as in ``out`` or by default."""
    require_train_extra()
    from boneage_node.bone_age import model_zoo
    from boneage_node.training.model import DEFAULT_AGE, finder_recipes

    def begin(run: ModelRun) -> Any:
        return work(replace(run, start=model_zoo.model_dir(start)) if start else run)

    recipes = finder_recipes(out, given["seed"])
    return _run(begin, out=out, age=_recipe(DEFAULT_AGE, **given), **recipes, **settings)


def _run(work: Callable[[ModelRun], Any], **settings: Any) -> Any:
    """Do a part of a training run; what is wrong with the data or a model ends it with a sentence."""
    from boneage_node.bone_age.manifest import ModelError
    from boneage_node.datasets.rsna import DataError
    from boneage_node.training.age import FAMILIES
    from boneage_node.training.fitting import rank_and_world_size
    from boneage_node.training.model import ModelRun

    if settings.get("family", "regions") not in FAMILIES:
        raise typer.BadParameter(f"one of {', '.join(FAMILIES)}", param_hint="--family")
    try:
        first = rank_and_world_size()[0] == 0
        return work(ModelRun(stage=progress_bar if first else _silent, **settings))
    except (DataError, ModelError) as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error


@contextmanager
def _silent(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """No progress: what the other processes of torchrun show."""
    yield lambda done, note: None
