"""Which radiographs each network learns from, and what decides its first weights."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_model
from support.drawn_data import write_data, write_key_points

from boneage_node.bone_age import Assessment, Hand, Refusal, Sex, model_zoo
from boneage_node.bone_age.manifest import read_manifest
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.annotations import KeyPoints
from boneage_node.datasets.rsna import DataError, read_examples
from boneage_node.phantom import draw_hand
from boneage_node.training import model
from boneage_node.training.age import FAMILIES, AgeRecipe, AgeTask
from boneage_node.training.model import ModelRun
from boneage_node.training.rasters import Rasters
from boneage_node.training.registration import SQUARE_PX, RegistrationRecipe, RegistrationTask, Squares

TINY = AgeRecipe(steps=2, batch=4)


@contextmanager
def silent(title: str, total: int) -> Iterator[Any]:
    yield lambda done, note: None


def ids(folder: Path, split: str) -> set[str]:
    return {example.id for example in read_examples(folder) if example.split == split}


class StoppedError(Exception):
    """In place of a fit."""


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("marked") / "rsna", 56, splits=True)
    write_key_points(folder, range(56))
    return folder


class Spied:
    """What the key-point network is given by a run that is stopped before its fit."""

    def __init__(self, data: Path, out: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model, "cut_squares", self.cut)
        monkeypatch.setattr(model, "RegistrationTask", self.task)
        monkeypatch.setattr(model, "Fit", self.fit)
        with pytest.raises(StoppedError):
            ModelRun(
                data, out, silent, registration=RegistrationRecipe(seed=seed), device="cpu"
            ).train_registration()

    def cut(self, given: list[KeyPoints], *_: object) -> Squares:
        self.cut_ids = {one.example.id for one in given}
        return Squares(
            torch.zeros(1, 2, SQUARE_PX, SQUARE_PX, dtype=torch.uint8),
            torch.zeros(1, 3, 2),
            torch.ones(1) > 0,
        )

    def task(self, squares: Squares, watch: list[KeyPoints], *rest: Any) -> RegistrationTask:
        self.watch = watch
        return RegistrationTask(squares, watch, *rest)

    def fit(self, network: torch.nn.Module, *_: object) -> None:
        self.weights = torch.cat([tensor.flatten().float() for tensor in network.state_dict().values()])
        raise StoppedError


def test_key_points_are_learned_from_training_images_and_watched_on_calibration_images(
    marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spied = Spied(marked, tmp_path, 1, monkeypatch)
    assert spied.cut_ids == ids(marked, "train")
    assert spied.watch
    assert all(one.manual and one.example.split == "calibration" for one in spied.watch)


def test_the_seed_alone_decides_the_first_weights_of_the_key_points(
    marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, again, other = (
        Spied(marked, tmp_path / name, seed, monkeypatch).weights
        for name, seed in (("one", 7), ("again", 7), ("other", 8))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.slow
def test_a_model_of_inception_is_made_from_the_right_splits_and_not_of_moved_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_data(tmp_path / "rsna", 56, splits=True), tmp_path / "run"
    given: list[Rasters] = []

    class Spy(AgeTask):
        def __init__(self, train: Rasters, watch: Rasters, *rest: Any) -> None:
            given.extend((train, watch))
            super().__init__(train, watch, *rest)

    monkeypatch.setattr(model, "AgeTask", Spy)
    monkeypatch.setitem(FAMILIES, "inception", (tiny_model.FAMILIES["inception"],))
    run = ModelRun(data, out, silent, family="inception", age=TINY, device="cpu")

    predictor = Predictor.load(run.finish(), "cpu")

    learned, watched = ({example.id for example in rasters.examples} for rasters in given)
    assert learned
    assert learned <= ids(data, "train")
    assert watched
    assert watched <= ids(data, "calibration")
    assert [member.architecture for member in predictor.manifest.members] == ["inception"]
    assert predictor.manifest.metrics["figures"]["all"]["images"] == 8
    told = predictor.manifest.training
    whole = "boneage-node train all --family inception --steps 2 --batch 4 --learning-rate 0.002 --seed 1"
    assert told["commands"] == [whole]
    lender = read_manifest(model_zoo.model_dir())
    assert told["borrowed"]["model"] == str(lender.identity)
    assert predictor.manifest.plausibility.overlap == lender.plausibility.overlap
    hand = draw_hand(100, Sex.MALE, seed=3, height_px=400)
    (answer,) = predictor.assess([Hand(hand.pixels, Sex.MALE)])
    assert isinstance(answer, Assessment | Refusal)

    splits = data / "splits.csv"
    splits.write_text(re.sub(r"^(1055),train", r"\1,validation", splits.read_text(), flags=re.MULTILINE))
    again = ModelRun(data, out, silent, family="inception", age=TINY, device="cpu")
    with pytest.raises(DataError, match="rasters-inception was made before these changed: data"):
        again.train_age()
    shutil.rmtree(again.rasters)
    (out / "age-inception-1" / "weights.safetensors").unlink()  # as where the fit was interrupted
    with pytest.raises(DataError, match="age-inception-1 was made before these changed: data"):
        again.train_age()


@pytest.mark.slow
def test_networks_begin_with_those_of_a_model_and_keep_its_first_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, start = write_data(tmp_path / "rsna", 56, splits=True), tiny_model.tiny_model(tmp_path / "start")
    member = tiny_model.FAMILIES["regions"]
    monkeypatch.setitem(FAMILIES, "regions", (member,))
    recipe = AgeRecipe(steps=2, batch=4, frozen_blocks=1)

    def run(out: str) -> ModelRun:
        return ModelRun(data, tmp_path / out, silent, age=recipe, start=start, device="cpu")

    trained = run("out").train_age()["A"].state_dict()

    before = Predictor.load(start, "cpu").networks["age.A"].state_dict()
    frozen = [name for name in before if name.startswith("features.0.") and name.endswith("weight")]
    learned = [name for name in before if name.startswith("features.2.") and name.endswith("weight")]
    assert all(torch.equal(trained[name], before[name]) for name in frozen)
    assert not any(torch.equal(trained[name], before[name]) for name in learned)
    monkeypatch.setitem(FAMILIES, "regions", (member.model_copy(update={"widths": (4, 4, 4)}),))
    with pytest.raises(DataError, match=r"network A of tiny-regions 0 .* has not the shape"):
        run("narrower").train_age()
    monkeypatch.setitem(FAMILIES, "regions", (member.model_copy(update={"name": "D"}),))
    with pytest.raises(DataError, match=r"tiny-regions 0 .* has no network D to start with"):
        run("another").train_age()
