"""Training on a small drawn data set that has the challenge's layout."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.bone_age.predictor import Predictor
from boneage_node.phantom import draw_hand
from boneage_node.training.age import AgeFit, AgeRecipe, Crops
from boneage_node.training.data import DataError, Example, read_examples


def write_data(folder: Path, images: int, splits: bool) -> Path:
    """Thumbnails of eight drawn hands under many numbers; columns as in the challenge's own table."""
    pictures = folder / "boneage-training-dataset"
    pictures.mkdir(parents=True)
    ages = (24, 60, 96, 132, 24, 60, 96, 132)
    hands = [
        draw_hand(age, Sex.MALE if k < 4 else Sex.FEMALE, seed=k, height_px=140) for k, age in enumerate(ages)
    ]
    rows, split_rows = [], []
    for number in range(images):
        hand = hands[number % 8]
        Image.fromarray((hand.pixels * 255).astype(np.uint8)).save(pictures / f"{1000 + number}.png")
        rows.append([1000 + number, round(hand.age_months), hand.sex is Sex.MALE])
        split = "calibration" if number < 40 else "validation" if number < 48 else "train"
        split_rows.append([1000 + number, split])
    with (folder / "boneage-training-dataset.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "boneage", "male"], *rows])
    if splits:
        with (folder / "splits.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "split"], *split_rows])
    return folder


def test_the_original_download_is_read_without_a_split_file(tmp_path: Path) -> None:
    write_data(tmp_path, 64, splits=False)
    examples = read_examples(tmp_path)
    assert len(examples) == 64
    assert {example.split for example in examples} <= {"train", "calibration", "validation"}
    assert [e.split for e in examples] == [e.split for e in read_examples(tmp_path)]
    assert examples[0].bone_age_months == 24
    assert examples[0].sex is Sex.MALE


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Unpack"):
        read_examples(tmp_path)
    write_data(tmp_path, 8, splits=False)
    (tmp_path / "boneage-training-dataset" / "1003.png").unlink()
    with pytest.raises(DataError, match=r"1003\.png"):
        read_examples(tmp_path)


@pytest.fixture
def crops() -> Crops:
    random = np.random.default_rng(3)
    examples = [
        Example(str(k), Path(), 20.0 + 6 * k, Sex.MALE if k % 2 else Sex.FEMALE, "train", None)
        for k in range(24)
    ]
    return Crops(examples, random.integers(0, 256, (24, 96, 72), dtype=np.uint8), np.arange(24) % 3 == 0)


RECIPE = AgeRecipe(height_px=96, width_px=72, widths=(4, 8, 8, 8, 8), steps=8, batch=8)


def fitted(crops: Crops, folder: Path, stop_at: int | None = None) -> AgeFit:
    folder.mkdir(exist_ok=True)
    fit = AgeFit(crops, crops, RECIPE, folder, torch.device("cpu"))
    for step, _ in fit.run(every=4):
        if step == stop_at:
            break
    return fit


def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path: Path, crops: Crops) -> None:
    whole = fitted(crops, tmp_path / "whole")
    fitted(crops, tmp_path / "parts", stop_at=6)  # the checkpoint is of step 4
    resumed = fitted(crops, tmp_path / "parts")
    assert resumed.step == 8
    for name, tensor in whole.average.network.state_dict().items():
        assert torch.equal(tensor, resumed.average.network.state_dict()[name]), name
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [4, 8]


def test_a_checkpoint_of_another_recipe_is_not_gone_on_with(tmp_path: Path, crops: Crops) -> None:
    fitted(crops, tmp_path, stop_at=4)
    other = AgeRecipe(height_px=96, width_px=72, widths=(4, 8, 8, 8, 8), steps=9, batch=8)
    with pytest.raises(ValueError, match="another recipe"):
        AgeFit(crops, crops, other, tmp_path, torch.device("cpu"))


@pytest.mark.slow
def test_the_command_makes_a_model_that_the_node_can_load(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "rsna", 80, splits=True), tmp_path / "run"
    command = [sys.executable, "-m", "boneage_node"]
    done = subprocess.run(
        [*command, "train", "whole-hand", "--data", data, "--out", out, "--steps", "3", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Model card" in done.stdout
    predictor = Predictor.load(out / "model", "cpu")
    assert predictor.manifest.metrics["age"]["all"]["images"] == 8
    assert predictor.manifest.training["recipe"]["steps"] == 3
    evaluated = subprocess.run(
        [*command, "evaluate", "--data", data, "--model", out / "model", "--json", "--device", "cpu"],
        capture_output=True,
        text=True,
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["figures"] == predictor.manifest.metrics["age"]


def test_too_few_calibration_images_are_said_before_training(tmp_path: Path) -> None:
    data = write_data(tmp_path, 16, splits=False)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "boneage_node",
            "train",
            "whole-hand",
            "--data",
            data,
            "--out",
            tmp_path / "run",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "too few" in done.stderr
