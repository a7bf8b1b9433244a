"""Training on a small drawn data set that has the challenge's layout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command_line import run
from support.drawn_data import hands, write_data, write_key_points, write_outlines

from boneage_node.bone_age import Sex
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.datasets.annotations import points_in, read_key_points
from boneage_node.datasets.held_out import held_out_digest
from boneage_node.datasets.rsna import DataError, read_examples, read_image


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


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("data") / "rsna", 64, splits=True)
    write_outlines(folder, range(40, 60))
    write_key_points(folder, range(64))
    return folder


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("train", *arguments)


def test_hand_mask_and_key_points_are_trained_from_annotations(annotated: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    rounds = ("--rounds", "1", "--round-steps", "2", "--round-images", "4")

    done = train("segmentation", "--data", annotated, "--out", out, "--steps", "3", *rounds)

    assert done.returncode == 0, done.stderr
    for number, steps in ((0, 3), (1, 2)):
        folder = out / "segmentation" / f"round-{number}"
        (line,) = (folder / "metrics.jsonl").read_text().splitlines()
        assert json.loads(line)["step"] == steps
        assert (folder / "weights.safetensors").is_file()
    with Image.open(out / "segmentation" / "round-1" / "contact-sheet-1.png") as sheet:
        assert np.asarray(sheet.convert("L")).std() > 0

    done = train("registration", "--data", annotated, "--out", out, "--steps", "2")

    # The barely trained mask finds no hand, so nothing is measured; but the network is there.
    assert done.returncode == 0, done.stderr
    assert (out / "registration" / "weights.safetensors").is_file()

    done = train("segmentation", "--data", annotated, "--out", out, "--steps", "4", *rounds)

    assert done.returncode == 2
    assert "changed: recipe." in done.stderr


def test_marked_points_are_where_the_image_shows_them(annotated: Path) -> None:
    examples = read_examples(annotated)
    marked = read_key_points(annotated / "annotations" / "keypoints.csv", examples)
    image = read_image(marked[0].example.path)
    truth = [hands()[0].key_points_px[name] for name in POINT_NAMES]
    np.testing.assert_allclose(points_in(marked[0], image), np.array(truth) - 0.5, atol=0.01)
    assert [m.manual for m in marked[:2]] == [False, True]


@pytest.mark.slow
def test_the_command_makes_a_model_that_the_node_can_load_in_parts(tmp_path: Path) -> None:
    data, out = write_data(tmp_path / "rsna", 56, splits=True), tmp_path / "run"
    small = ("--data", data, "--out", out, "--steps", "3", "--batch", "4", "--device", "cpu")

    part = train("age", *small, "--member", "B")
    assert part.returncode == 0, part.stderr
    trained = (out / "age-B" / "weights.safetensors").read_bytes()
    several = several_processes("train", "age", *small, "--member", "C")
    assert several.returncode == 0, several.stderr
    (line,) = (out / "age-C" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 3
    done = train("all", *small)

    assert done.returncode == 0, done.stderr
    assert "Model card" in done.stdout
    assert (out / "age-B" / "weights.safetensors").read_bytes() == trained
    predictor = Predictor.load(out / "model", "cpu")
    assert predictor.manifest.metrics["figures"]["all"]["images"] == 8
    assert predictor.manifest.training["recipes"]["age"]["steps"] == 3
    assert predictor.manifest.training["held_out_sha256"] == held_out_digest(read_examples(data))
    shares = [share for member in predictor.manifest.members for share in member.weights.values()]
    assert sum(shares) == pytest.approx(1, abs=1e-3)


def several_processes(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in two processes, as torchrun starts them."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "boneage_node", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_too_few_calibration_images_are_said_before_training(tmp_path: Path) -> None:
    data = write_data(tmp_path, 16, splits=False)
    done = train("age", "--data", data, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "too few" in done.stderr


def test_a_network_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    data = write_data(tmp_path / "rsna", 16, splits=False)
    done = train("age", "--data", data, "--out", tmp_path / "run", "--member", "Z")
    assert done.returncode == 2
    assert "A, B, C" in done.stderr


def test_a_family_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    done = train("age", "--data", tmp_path, "--family", "transformer")
    assert done.returncode == 2
    assert "inception" in done.stderr
