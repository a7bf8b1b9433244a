"""Samples of a split, and many images side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.parallel import each
from boneage_node.evaluation.sample import draw_sample


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """A tenth sharp, a third girls, ages of 1 to 10 years."""
    paths = {sharp: tmp_path / f"{sharp}.png" for sharp in (True, False)}
    for sharp, path in paths.items():
        Image.new("L", (350, 450) if sharp else (80, 100)).save(path)
    return [
        Example(
            str(number),
            paths[number % 10 == 0],
            12 * (1 + number % 7 + (number // 7) % 4),
            Sex.FEMALE if number % 3 == 0 else Sex.MALE,
            "validation",
            None,
        )
        for number in range(1000)
    ]


def test_a_sample_is_as_the_whole_in_resolution_sex_and_age(examples: list[Example]) -> None:
    drawn = draw_sample(examples, 100, seed=1).examples
    assert len({one.id for one in drawn}) == 100
    for trait in (lambda e: e.path, lambda e: e.sex, lambda e: e.bone_age_months):
        whole, part = Counter(map(trait, examples)), Counter(map(trait, drawn))
        for value, count in whole.items():
            assert part[value] == pytest.approx(count / 10, abs=2.5)


def test_a_seed_draws_the_same_sample_in_whatever_order_the_images_come(examples: list[Example]) -> None:
    sample = draw_sample(examples, 30, seed=1)
    assert draw_sample(examples[::-1], 30, seed=1).examples == sample.examples
    assert draw_sample(examples, 30, seed=2).examples != sample.examples
    assert "A sample of 30 of the 1,000 images of the split" in str(sample)
    assert len(draw_sample(examples[:7], 30, seed=1).examples) == 7


def test_items_are_worked_on_on_one_thread_each_and_come_back_in_order() -> None:
    done: list[int] = []
    outcomes = each(lambda item: (item, torch.get_num_threads()), range(100), done.append)
    assert outcomes == [(item, 1) for item in range(100)]
    assert done == list(range(1, 101))


def test_work_that_fails_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda item: 1 / item, [1, 0])
