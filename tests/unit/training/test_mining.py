"""Which masks are mined, kept and shown, and which radiographs they may come from."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boneage_node.bone_age import Sex, model_zoo
from boneage_node.bone_age.networks import HandUNet
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.segmentation import largest_component, outline
from boneage_node.datasets.annotations import Outline, split_outlines
from boneage_node.datasets.rsna import DataError, Example
from boneage_node.phantom import PhantomHand, draw_hand
from boneage_node.training.mining import Mined, contact_sheets, load_masks, mine, save_masks
from boneage_node.training.segmentation import SegmentationRecipe, SegmentationRun

TILE_PX, COLUMNS = 120, 16


@pytest.fixture(scope="module")
def network() -> HandUNet:
    network = Predictor.load(model_zoo.model_dir(), "cpu").networks["segmentation"]
    assert isinstance(network, HandUNet)
    return network


@pytest.fixture(scope="module")
def hands() -> list[PhantomHand]:
    children = [(90, Sex.MALE, 12), (24, Sex.FEMALE, 2)]
    return [draw_hand(age, sex, seed=seed, height_px=160) for age, sex, seed in children]


def example(folder: Path, identity: str, pixels: np.ndarray, split: str = "train") -> Example:
    path = folder / f"{identity}.png"
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
    return Example(identity, path, 100.0, Sex.MALE, split, None)


def without_image(identity: str, split: str = "train") -> Example:
    return Example(identity, Path(f"{identity}.png"), 100.0, Sex.MALE, split, None)


def drawn_outline(identity: str, hand: PhantomHand) -> Outline:
    height, width = hand.mask.shape
    return Outline(identity, (outline(largest_component(hand.mask)) + np.float32(0.5),), (width, height))


def triangle(identity: str) -> Outline:
    return Outline(identity, (np.array([[1, 1], [8, 1], [4, 9]], dtype=np.float32),), (10, 10))


def ids(outlines: list[Outline]) -> list[str]:
    return [one.id for one in outlines]


def verdicts(file: Path) -> dict[str, str | None]:
    """Reason by id of everything that a round looked at."""
    with np.load(file) as arrays:
        return {identity: reason for identity, (reason, _) in json.loads(str(arrays["verdicts"])).items()}


def test_good_hands_are_learned_from_with_their_masks(
    network: HandUNet, hands: list[PhantomHand], tmp_path: Path
) -> None:
    examples = [example(tmp_path, str(k), hand.pixels) for k, hand in enumerate(hands)]
    counted: list[int] = []

    mined = mine(network, examples, 1, set(), counted.append)

    assert counted == [1, 2]

    assert [one.example for one in mined] == examples
    for one, hand in zip(mined, hands, strict=True):
        assert one.reason is None
        assert (one.mask & hand.mask).sum() / (one.mask | hand.mask).sum() > 0.85


def test_a_struck_radiograph_is_rejected_and_no_other(
    network: HandUNet, hands: list[PhantomHand], tmp_path: Path
) -> None:
    examples = [example(tmp_path, name, hands[0].pixels) for name in ("1377", "1378", "13")]

    mined = mine(network, examples, 1, {"1378", "no such id"}, lambda done: None)

    assert [one.reason for one in mined] == [None, "struck by hand", None]


@pytest.mark.parametrize("name", ["black", "white", "noise", "two hands"])
def test_what_is_not_one_hand_is_rejected_with_a_reason(
    network: HandUNet, hands: list[PhantomHand], tmp_path: Path, name: str
) -> None:
    pixels = {
        "black": np.zeros((150, 110)),
        "white": np.ones((150, 110)),
        "noise": np.random.default_rng(0).random((150, 110)),
        "two hands": np.concatenate([hands[0].pixels[:, ::-1], hands[0].pixels], axis=1),
    }[name]

    (mined,) = mine(network, [example(tmp_path, "1", pixels)], 1, set(), lambda done: None)

    assert mined.reason
    assert mined.reason != "struck by hand"
    assert mined.mask.shape == pixels.shape


class Answers(torch.nn.Module):
    """Says, of the three exposures of a radiograph in turn, which pixels are hand and how surely."""

    def __init__(self, shares: list[np.ndarray]) -> None:
        super().__init__()
        self.shares, self.asked = shares, 0

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        share = self.shares[self.asked % 3]
        self.asked += 1
        return torch.logit(torch.from_numpy(share.astype(np.float32)), eps=1e-6)[None, None]


def cross(arm_px: int = 35, reach_px: int = 80) -> np.ndarray:
    """Two bars, which have about the area and solidity of a hand."""
    away = np.abs(np.arange(192) - 95.5)
    narrow, long = away < arm_px, away < reach_px
    return (narrow[:, None] & long[None]) | (long[:, None] & narrow[None])


@pytest.mark.parametrize("criterion", ["none", "area", "solidity", "border", "scraps", "unsure", "agreement"])
def test_each_criterion_alone_rejects_a_mask(tmp_path: Path, criterion: str) -> None:
    good = cross().astype(np.float64)
    shares = [good.copy() for _ in range(3)]
    for k, share in enumerate(shares):
        if criterion == "area":
            share[:] = cross(10, 23)
        if criterion == "solidity":
            share[16:176, 16:176] = 1
        if criterion == "border":
            share[:] = 1
            share[40:, 40:152] = 0
        if criterion == "scraps":
            share[4:30, 4:30] = 1
        if criterion == "unsure":
            share[:, :60] *= 0.7
        if criterion == "agreement" and k == 1:
            share[:36] = 0
    pixels = np.random.default_rng(1).random((192, 192))

    (mined,) = mine(Answers(shares), [example(tmp_path, "1", pixels)], 1, set(), lambda done: None)

    assert (mined.reason or "none").split()[0] == criterion


def test_masks_and_reasons_are_kept_exactly(tmp_path: Path) -> None:
    numbers = np.random.default_rng(5)
    mined = [
        Mined(without_image("4"), numbers.random((37, 41)) < 0.5, None),
        Mined(without_image("15"), numbers.random((8, 3)) < 0.5, "unsure 0.31"),
        Mined(without_image("7"), np.zeros((5, 5), dtype=np.bool_), "area 0.00"),
    ]
    file = tmp_path / "mined.npz"

    save_masks(mined, file)

    assert list(tmp_path.iterdir()) == [file]
    order = [2, 0, 1]
    again = load_masks(file, [mined[k].example for k in order])
    for one, k in zip(again, order, strict=True):
        assert one.example == mined[k].example
        assert one.reason == mined[k].reason
        assert one.mask.dtype == np.bool_
        assert np.array_equal(one.mask, mined[k].mask)


def test_the_contact_sheet_shows_accepted_masks_above_and_rejected_ones_below(
    hands: list[PhantomHand], tmp_path: Path
) -> None:
    radiograph, mask = example(tmp_path, "1", hands[0].pixels), hands[0].mask
    accepted = [Mined(radiograph, mask, None)] * (COLUMNS + 1)
    rejected = [Mined(radiograph, mask, "scraps 0.40"), Mined(radiograph, np.zeros_like(mask), "area 0.00")]

    (sheet,) = contact_sheets([*rejected, *accepted])

    assert sheet.size == (COLUMNS * TILE_PX, 4 * TILE_PX)
    for row, columns, green, red in ((0, COLUMNS, True, False), (1, 1, True, False), (3, 2, False, True)):
        for column in range(columns):
            shown = tile(sheet, row, column)
            assert (bool(is_green(shown).any()), bool(is_red(shown).any())) == (green, red)
            assert shown.min() < 50
    assert tile(sheet, 1, 1).min() == tile(sheet, 3, 2).min() == 255
    lime = np.argwhere(is_green(tile(sheet, 0, 0)))
    scale = (TILE_PX - 2) / max(mask.shape)
    assert [*lime.min(axis=0), *lime.max(axis=0)] == pytest.approx(box(mask) * scale, abs=2)


def test_every_mask_is_on_a_sheet(hands: list[PhantomHand], tmp_path: Path) -> None:
    radiograph, mask = example(tmp_path, "1", hands[0].pixels[::4, ::4]), hands[0].mask[::4, ::4]
    accepted, rejected = Mined(radiograph, mask, None), Mined(radiograph, mask, "scraps 0.40")

    sheets = list(contact_sheets([*[accepted] * 200, *[rejected] * 10]))

    shown = [tile(sheet, row, column) for sheet in sheets for row in range(14) for column in range(COLUMNS)]
    assert sum(bool(is_green(one).any()) for one in shown) == 200
    assert sum(bool(is_red(one).any()) for one in shown) == 10
    assert list(contact_sheets([])) == []


def tile(sheet: Image.Image, row: int, column: int) -> np.ndarray:
    left, top = column * TILE_PX, row * TILE_PX
    return np.asarray(sheet.crop((left, top, left + TILE_PX, top + TILE_PX)), dtype=np.int64)


def is_green(tile: np.ndarray) -> np.ndarray:
    return tile[..., 1] - np.maximum(tile[..., 0], tile[..., 2]) > 100


def is_red(tile: np.ndarray) -> np.ndarray:
    return tile[..., 0] - np.maximum(tile[..., 1], tile[..., 2]) > 100


def box(mask: np.ndarray) -> np.ndarray:
    """First row and column, last row and column."""
    places = np.argwhere(mask)
    return np.concatenate([places.min(axis=0), places.max(axis=0)])


def small_run(hands: list[PhantomHand], folder: Path) -> SegmentationRun:
    """Forty-eight radiographs, half of each split outlined, one of those without an outline struck."""
    examples, outlines = [], []
    for number in range(48):
        split = ("train", "train", "calibration", "validation")[number // 2 % 4]
        hand = hands[number % 2]
        examples.append(example(folder, str(1000 + number), hand.pixels, split))
        if number < 24:
            outlines.append(drawn_outline(str(1000 + number), hand))
    out = folder / "run"
    out.mkdir()
    (out / "strike.txt").write_text("1025\n")
    recipe = SegmentationRecipe(steps=1, batch=2, rounds=1, round_steps=1, round_images=1000)
    return SegmentationRun(outlines, examples, recipe, out, torch.device("cpu"))


def test_only_training_radiographs_without_an_outline_are_mined(
    hands: list[PhantomHand], tmp_path: Path
) -> None:
    run = small_run(hands, tmp_path)
    torch.manual_seed(0)

    assert [step for step, _ in run.round(1, HandUNet())] == [1]

    outlined = {one.id for one in run.outlines}
    candidates = verdicts(run.out / "round-1" / "mined.npz")
    assert set(candidates) == {e.id for e in run.examples if e.split == "train" and e.id not in outlined}
    assert len(candidates) == 12
    assert candidates["1025"] == "struck by hand"
    assert (run.out / "round-1" / "weights.safetensors").is_file()


def test_a_round_made_of_something_else_is_neither_taken_nor_gone_on_with(
    hands: list[PhantomHand], tmp_path: Path
) -> None:
    run, before = small_run(hands, tmp_path), HandUNet().eval()
    list(run.round(1, before))
    run.network(1, before)
    with pytest.raises(DataError, match="network before it"):
        run.network(1, HandUNet())
    learned_from = next(e for e in run.examples if e.split == "train")
    moved = [replace(e, split="validation") if e is learned_from else e for e in run.examples]
    with pytest.raises(DataError, match="data"):
        replace(run, examples=moved).network(1, before)
    (run.out / "strike.txt").write_text("1025\n1032\n")
    with pytest.raises(DataError, match="struck radiographs"):
        run.network(1, before)

    run.weights(run.out, 1).unlink()  # as where the round was interrupted
    with pytest.raises(DataError, match="struck radiographs"):
        next(run.round(1, before))


def test_each_round_adds_its_share_of_radiographs_to_those_before(
    hands: list[PhantomHand], tmp_path: Path
) -> None:
    examples = [example(tmp_path, str(2000 + k), hands[0].pixels) for k in range(36)]
    outlines = [drawn_outline(str(2000 + k), hands[0]) for k in range(20)]
    recipe = SegmentationRecipe(steps=1, batch=2, rounds=2, round_steps=1, round_images=4)
    run = SegmentationRun(outlines, examples, recipe, tmp_path / "run", torch.device("cpu"))

    for number in (1, 2):
        for _ in run.round(number, HandUNet()):
            pass

    first, second = (set(verdicts(run.out / f"round-{number}" / "mined.npz")) for number in (1, 2))
    assert (len(first), len(second)) == (4, 8)
    assert first < second
    seeds = [torch.load(run.out / f"round-{n}" / "checkpoint.pt")["recipe"]["seed"] for n in (1, 2)]
    assert seeds == [2, 3]  # or all rounds would draw the same batches


def test_too_few_outlines_to_learn_from_are_said(hands: list[PhantomHand], tmp_path: Path) -> None:
    run = small_run(hands, tmp_path)
    with pytest.raises(DataError, match="Draw more"):
        next(replace(run, outlines=run.outlines[:16]).round(0, None))


def split_examples(held_out_splits: int) -> list[Example]:
    splits = ["calibration", "validation"] * held_out_splits
    return [without_image(str(k), splits[k] if k < held_out_splits else "train") for k in range(60)]


@pytest.mark.parametrize(("held_out_splits", "held_out_count"), [(0, 16), (10, 16), (16, 16), (25, 25)])
def test_outlines_outside_the_training_split_and_at_least_sixteen_are_held_out(
    held_out_splits: int, held_out_count: int
) -> None:
    examples = split_examples(held_out_splits)

    train, held_out = split_outlines([triangle(e.id) for e in examples], examples)

    assert len(held_out) == held_out_count
    assert {e.id for e in examples if e.split != "train"} <= set(ids(held_out))
    assert sorted(ids(train) + ids(held_out)) == sorted(e.id for e in examples)


def test_outlines_without_a_radiograph_are_neither_learned_from_nor_held_out() -> None:
    examples = split_examples(10)
    outlines = [triangle(e.id) for e in examples]
    train, held_out = split_outlines(outlines, examples)

    strange = [triangle(f"no radiograph {k}") for k in range(20)]
    with_strange = split_outlines(strange + outlines, examples)

    assert [ids(part) for part in with_strange] == [ids(train), ids(held_out)]


def test_outlines_are_split_alike_in_whatever_order_they_come() -> None:
    examples = split_examples(10)
    outlines = [triangle(e.id) for e in examples]
    expected = [ids(part) for part in split_outlines(outlines, examples)]
    for seed in range(3):
        random.Random(seed).shuffle(outlines)
        random.Random(seed + 10).shuffle(examples)
        assert [ids(part) for part in split_outlines(outlines, examples)] == expected
