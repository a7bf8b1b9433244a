"""A fit that is interrupted, on a small age network of either family."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.fit import assert_goes_on_to_the_same_weights, run
from support.tiny_model import FAMILIES

from boneage_node.bone_age import Sex
from boneage_node.bone_age.predictor import age_network
from boneage_node.datasets.rsna import DataError, Example
from boneage_node.training import fitting
from boneage_node.training.age import AgeRecipe, AgeTask, predict
from boneage_node.training.fitting import Fit
from boneage_node.training.provenance import load_network, recipe_of, save_network
from boneage_node.training.rasters import MARGIN, Rasters

RECIPE = AgeRecipe(steps=8, batch=8)


def rasters(family: str) -> Rasters:
    """Noise, brighter with age."""
    member = FAMILIES[family]
    random = np.random.default_rng(3)
    shape = (24, *(round(side * (1 + MARGIN)) for side in (member.height_px, member.width_px)))
    brightness = np.linspace(20, 200, 24)[:, None, None]
    pixels = (brightness + random.integers(0, 40, shape)).astype(np.uint8)
    examples = [
        Example(str(k), Path(), 20.0 + 8 * k, Sex.MALE if k % 2 else Sex.FEMALE, "train", None)
        for k in range(24)
    ]
    return Rasters(examples, pixels, np.arange(24) % 3 == 0)


def fit(folder: Path, recipe: AgeRecipe = RECIPE, family: str = "regions") -> Fit[torch.nn.Module]:
    torch.manual_seed(recipe.seed)
    member, cut = FAMILIES[family], rasters(family)
    task = AgeTask(cut, cut, member, recipe, torch.device("cpu"))
    return Fit(age_network(member), task, recipe, folder, torch.device("cpu"))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_an_interrupted_fit_goes_on_to_the_same_weights(tmp_path: Path, family: str) -> None:
    begin = partial(fit, family=family)
    assert_goes_on_to_the_same_weights(begin, tmp_path, every=4, stop_at=6)  # the checkpoint is of step 4
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [4, 8]


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    one = run(fit(tmp_path / "one"), 4)
    two = run(fit(tmp_path / "two", replace(RECIPE, seed=2)), 4)
    assert any(not torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_a_checkpoint_of_another_recipe_is_not_gone_on_with(tmp_path: Path) -> None:
    run(fit(tmp_path), 4, stop_at=4)
    with pytest.raises(DataError, match="another recipe"):
        fit(tmp_path, replace(RECIPE, steps=9))


def test_a_checkpoint_of_an_earlier_version_is_not_gone_on_with(tmp_path: Path) -> None:
    run(fit(tmp_path), 4, stop_at=4)
    checkpoint = tmp_path / "checkpoint.pt"
    state = torch.load(checkpoint)
    average = {name.removeprefix("module."): tensor for name, tensor in state["average"].items()}
    updates = int(average.pop("n_averaged"))
    torch.save(state | {"average": average, "updates": updates}, checkpoint)
    with pytest.raises(DataError, match="earlier version"):
        fit(tmp_path)


def test_the_average_follows_the_network_slowly_batch_norm_and_all() -> None:
    network = torch.nn.BatchNorm1d(1)
    average = fitting.averaged(network, decay=0.6)
    expected = None
    for step in range(1, 12):
        with torch.no_grad():
            network.weight.fill_(float(step))
        network.running_mean.fill_(2.0 * step)
        network.num_batches_tracked.fill_(step)
        average.update_parameters(network)
        share = 1 - min(0.6, (1 + step) / (10 + step))
        expected = 1.0 if expected is None else expected + share * (step - expected)
    assert average.module.weight.item() == pytest.approx(expected)
    assert average.module.running_mean.item() == pytest.approx(2 * expected)
    assert average.module.num_batches_tracked.item() == 11
    assert not average.module.training


def test_a_checkpoint_of_another_number_of_processes_is_not_gone_on_with(tmp_path: Path) -> None:
    """Each process draws its own part of a batch, so the fit would not end with the same weights."""
    run(fit(tmp_path), 4, stop_at=4)
    checkpoint = tmp_path / "checkpoint.pt"
    torch.save(torch.load(checkpoint) | {"processes": 2}, checkpoint)
    with pytest.raises(DataError, match="begun with 2 processes"):
        fit(tmp_path)


def test_a_batch_that_cannot_be_spread_is_said_with_the_counts_that_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "rank_and_world_size", lambda: (0, 3))
    with pytest.raises(DataError, match="one of 1, 2, 4, 8"):
        fit(tmp_path)


def test_a_network_is_not_taken_for_one_of_other_settings(tmp_path: Path) -> None:
    network, file = age_network(FAMILIES["regions"]), tmp_path / "weights.safetensors"
    save_network(network, file, {"recipe": asdict(RECIPE), "on": "these"})
    load_network(network, file, {"recipe": asdict(RECIPE), "on": "these"})
    assert recipe_of(file, AgeRecipe(steps=1)) == RECIPE
    assert recipe_of(tmp_path / "none", AgeRecipe(steps=1)) == AgeRecipe(steps=1)
    with pytest.raises(DataError, match="changed: on\\."):
        load_network(network, file, {"recipe": asdict(RECIPE), "on": "those"})


def test_a_line_of_metrics_without_its_checkpoint_is_written_once(tmp_path: Path) -> None:
    run(fit(tmp_path), 4, stop_at=6)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 8}) + "\n")
    run(fit(tmp_path), 4)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [4, 8]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_fit_learns_the_age_of_rasters_that_show_it(tmp_path: Path, family: str) -> None:
    longer = replace(RECIPE, steps=100, learning_rate=3e-3, label_sigma_months=10.0)
    trained = fit(tmp_path, longer, family)
    before = error(trained, family)
    run(trained, 4)
    assert error(trained, family) < 0.6 * before


def error(trained: Fit[torch.nn.Module], family: str) -> float:
    cut = rasters(family)
    ages = predict(trained.average, cut, FAMILIES[family], torch.device("cpu"))
    return float(np.mean([np.abs(months - cut.ages_months).mean() for months in ages.values()]))
