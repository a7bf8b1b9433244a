"""What a hand is, is learned from training images alone, and its limit set on calibration images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from support.drawn_data import write_data
from support.tiny_model import tiny_model

from boneage_node.bone_age import Assessment, Sex
from boneage_node.bone_age.manifest import read_manifest
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.rsna import DataError, Example, read_examples
from boneage_node.evaluation.readings import read_all
from boneage_node.training.assembly import VERSION, add_recognition
from boneage_node.training.recognition import RecognitionRecipe, chosen

TINY = RecognitionRecipe(small_a_year=4, hands_a_year=2, drawn=6, directions=2)


@contextmanager
def silent(title: str, total: int) -> Iterator[Any]:
    yield lambda done, note: None


def example(number: int, months: float, split: str = "train") -> Example:
    return Example(str(number), Path("none.png"), months, Sex.MALE, split, None)


def test_as_many_training_hands_of_each_year_are_chosen_whatever_their_order() -> None:
    many = [example(n, 12.0 * (n % 3) + 5) for n in range(60)] + [example(99, 30, "calibration")]
    few = [example(200 + n, 200.0) for n in range(2)]
    recipe = RecognitionRecipe(small_a_year=5, hands_a_year=1)
    picked = chosen([*many, *few], recipe)
    assert Counter(int(one.bone_age_months // 12) for one in picked) == {0: 5, 1: 5, 2: 5, 16: 1}
    assert all(one.split == "train" for one in picked)
    assert picked == chosen([*few, *reversed(many)], recipe)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Example]]:
    """A tiny model, the same that was taught what a hand is, and the data."""
    folder = tmp_path_factory.mktemp("recognition")
    examples = read_examples(write_data(folder / "rsna", 56, splits=True))
    before = tiny_model(folder / "before")
    add_recognition(before, folder / "after", examples, TINY, silent, "cpu")
    return before, folder / "after", examples


def test_the_networks_and_what_they_read_stay(taught: tuple[Path, Path, list[Example]]) -> None:
    before, after, examples = taught
    old, new = (load_file(folder / "weights.safetensors") for folder in (before, after))
    assert all((new[name] == tensor).all() for name, tensor in old.items())
    assert {name.split(".")[0] for name in set(new) - set(old)} == {"known"}
    part = [one for one in examples if one.split == "calibration"][:3]
    without, tested = (
        read_all(Predictor.load(folder, "cpu"), part, lambda done: None) for folder in (before, after)
    )
    for one, other in zip(without, tested, strict=True):
        assert isinstance(one.assessment, Assessment)
        assert isinstance(other.assessment, Assessment), other.refusal
        assert one.assessment.unlikeness is None
        assert other.assessment.unlikeness is not None
        assert one.assessment.member_months == other.assessment.member_months


def test_the_manifest_says_how_it_was_learned(taught: tuple[Path, Path, list[Example]]) -> None:
    before, after, _ = taught
    old, new = read_manifest(before), read_manifest(after)
    assert old.recognition is None
    assert new.recognition is not None
    assert new.recognition.regions == {"A": "the hand as a whole"}
    assert 0.3 < new.recognition.unlikeness < 5
    assert new.version == VERSION
    assert new.training["commands"] == ["boneage-node train recognition --model tiny-regions (of version 0)"]
    assert new.training["recipes"]["recognition"]["hands_a_year"] == 2
    assert new.recognition.groups == ("small", "grown")
    assert new.interval == old.interval
    assert new.metrics == {}


def test_a_model_of_whole_radiographs_cannot_be_taught_so(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "inception", "inception")
    with pytest.raises(DataError, match="no network of tiny-inception reads one of the regions A, B, C"):
        add_recognition(model, tmp_path / "after", [], TINY, silent, "cpu")


def test_a_calibration_image_that_was_trained_on_is_refused(
    taught: tuple[Path, Path, list[Example]], tmp_path: Path
) -> None:
    before, _, examples = taught
    folder = tmp_path / "model"
    folder.mkdir()
    manifest = read_manifest(before)
    told = manifest.model_copy(update={"training": {"held_out_sha256": "another"}})
    (folder / "manifest.json").write_text(told.model_dump_json())
    with pytest.raises(DataError, match="split otherwise"):
        add_recognition(folder, tmp_path / "after", [replace(e) for e in examples], TINY, silent, "cpu")
