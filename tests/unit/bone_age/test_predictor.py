"""The default model through its one door, on drawn hands whose mask is known."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from pydicom import dcmread
from pydicom.data import get_testdata_file

from boneage_node.bone_age import Assessment, Hand, Laterality, ReasonCode, Refusal, Sex, model_zoo
from boneage_node.bone_age.manifest import Band, Interval, ModelError
from boneage_node.bone_age.predictor import Predictor
from boneage_node.phantom import PhantomHand, draw_hand
from boneage_node.radiograph.grey import to_grey
from boneage_node.radiograph.pixels import decode_pixels

BY_ITS_PIXELS = {ReasonCode.NO_HAND_FOUND, ReasonCode.SEVERAL_HANDS, ReasonCode.IMPLAUSIBLE_HAND}


@pytest.fixture(scope="module")
def drawn() -> PhantomHand:
    return draw_hand(120, Sex.MALE, seed=4, height_px=700)


@pytest.fixture(scope="module")
def chest() -> np.ndarray:
    """A real radiograph of a chest, its grey values as the node makes them."""
    pytest.importorskip("data_store", reason="pydicom-data is not installed")
    dataset = dcmread(get_testdata_file("RG1_UNCR.dcm", download=False))
    return to_grey(decode_pixels(dataset), dataset)


def overlap(assessment: Assessment, mask: np.ndarray) -> float:
    canvas = Image.new("1", (mask.shape[1], mask.shape[0]))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in assessment.outline_px.tolist()], fill=1)
    found = np.asarray(canvas)
    return float((found & mask).sum() / (found | mask).sum())


def read(predictor: Predictor, hand: Hand) -> Assessment:
    (answer,) = predictor.assess([hand])
    assert isinstance(answer, Assessment), answer
    return answer


def test_a_drawn_hand_is_found_and_read(predictor: Predictor, drawn: PhantomHand) -> None:
    answer = read(predictor, Hand(drawn.pixels, Sex.MALE, 120.0, Laterality.LEFT))
    assert overlap(answer, drawn.mask) > 0.85
    low, high = answer.interval_months
    assert low < answer.bone_age_months < high
    assert answer.z_score == pytest.approx((answer.bone_age_months - 120) / 9.79, abs=0.0501)
    assert answer.model == predictor.identity


def test_the_reading_depends_on_sex_and_not_on_mirroring(predictor: Predictor, drawn: PhantomHand) -> None:
    boy = read(predictor, Hand(drawn.pixels, Sex.MALE))
    girl = read(predictor, Hand(drawn.pixels, Sex.FEMALE))
    mirrored = read(predictor, Hand(np.ascontiguousarray(drawn.pixels[:, ::-1]), Sex.MALE))
    assert abs(boy.bone_age_months - girl.bone_age_months) > 1
    assert mirrored.bone_age_months == pytest.approx(boy.bone_age_months, abs=3)


def test_older_hands_read_older(predictor: Predictor) -> None:
    hands = [
        Hand(draw_hand(age, Sex.FEMALE, seed=7, height_px=600).pixels, Sex.FEMALE) for age in (24, 96, 168)
    ]
    ages = [read(predictor, hand).bone_age_months for hand in hands]
    assert ages == sorted(ages)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((400, 300), dtype=np.float32),
        np.ones((400, 300), dtype=np.float32),
        np.random.default_rng(1).random((400, 300), dtype=np.float32),
    ],
    ids=["black", "white", "noise"],
)
def test_what_holds_no_hand_is_refused(predictor: Predictor, pixels: np.ndarray) -> None:
    assert refused(predictor, pixels) in BY_ITS_PIXELS


@pytest.mark.parametrize("turn", range(4))
def test_a_real_chest_is_refused(predictor: Predictor, chest: np.ndarray, turn: int) -> None:
    assert refused(predictor, np.ascontiguousarray(np.rot90(chest, turn))) in BY_ITS_PIXELS


def test_a_batch_answers_in_order_and_as_one_by_one(predictor: Predictor, drawn: PhantomHand) -> None:
    blank = Hand(np.zeros((300, 200), dtype=np.float32), Sex.MALE)
    other = Hand(draw_hand(60, Sex.FEMALE, seed=2, height_px=500).pixels, None)
    first, refused, second = predictor.assess([Hand(drawn.pixels, Sex.MALE), blank, other])
    assert isinstance(first, Assessment)
    assert isinstance(refused, Refusal)
    assert isinstance(second, Assessment)
    assert said(second) == said(read(predictor, other))
    assert predictor.assess([]) == []
    assert all(isinstance(answer, Refusal) for answer in predictor.assess([blank, blank]))


def test_the_number_of_threads_changes_nothing(predictor: Predictor, drawn: PhantomHand) -> None:
    hand = Hand(drawn.pixels, Sex.MALE, 120.0)
    before = torch.get_num_threads()
    try:
        readings = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            readings.append(said(read(predictor, hand)))
            assert torch.get_num_threads() == threads, "others go on with theirs"
    finally:
        torch.set_num_threads(before)
    assert readings[0] == readings[1] == readings[2]


def test_a_hand_seen_once_is_answered_as_if_read_for_each_sex(
    predictor: Predictor, drawn: PhantomHand
) -> None:
    found = predictor.find(drawn.pixels)
    assert not isinstance(found, Refusal)
    seen = predictor.see(found, [*Sex, None])
    for sex in (*Sex, None):
        answer = predictor.answer(Hand(drawn.pixels, sex), found, seen)
        assert isinstance(answer, Assessment)
        assert said(answer) == said(read(predictor, Hand(drawn.pixels, sex)))
    assert seen.months[None] not in (seen.months[Sex.MALE], seen.months[Sex.FEMALE])


def said(assessment: Assessment) -> tuple[object, ...]:
    """All that is computed of a hand, to the last bit."""
    return (
        assessment.bone_age_months,
        assessment.interval_months,
        assessment.months_by_sex,
        assessment.member_months,
        assessment.z_score,
        assessment.spread_months,
        assessment.key_points_px.tolist(),
        assessment.outline_px.tolist(),
    )


def test_a_reading_is_rounded_to_what_is_printed(predictor: Predictor, drawn: PhantomHand) -> None:
    answer = read(predictor, Hand(drawn.pixels, None, 120.0))
    numbers = [answer.bone_age_months, answer.spread_months, *answer.interval_months]
    for number in [*numbers, *answer.months_by_sex.values()]:
        assert number == round(number, 1)


def test_the_outline_is_in_pixels_of_the_original(predictor: Predictor) -> None:
    large = draw_hand(96, Sex.FEMALE, seed=5, height_px=1900)
    assert overlap(read(predictor, Hand(large.pixels, Sex.FEMALE)), large.mask) > 0.85


def test_changed_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_zoo.model_dir(), folder)
    weights = folder / "weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(ModelError, match="sha256"):
        Predictor.load(folder, "cpu")
    weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        Predictor.load(folder, "cpu")


def test_a_model_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(ModelError, match="hand-regions"):
        model_zoo.model_dir("no-such-model")
    assert "hand-regions" in [manifest.name for _, manifest in model_zoo.list_models()]


def test_a_device_of_no_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="cuda:N"):
        Predictor.load(model_zoo.model_dir(), "gpu")


@pytest.mark.parametrize("shape", [(1, 1), (2, 400), (400, 2), (31, 500)])
def test_a_picture_too_small_for_a_hand_is_refused(predictor: Predictor, shape: tuple[int, int]) -> None:
    assert refused(predictor, np.full(shape, 0.5, dtype=np.float32)) is ReasonCode.NO_HAND_FOUND


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(predictor: Predictor, value: float) -> None:
    pixels = draw_hand(100, Sex.MALE, seed=1, height_px=300).pixels.copy()
    pixels[5, 5] = value
    assert refused(predictor, pixels) is ReasonCode.NO_HAND_FOUND


def refused(predictor: Predictor, pixels: np.ndarray) -> ReasonCode:
    (answer,) = predictor.assess([Hand(pixels, Sex.MALE)])
    assert isinstance(answer, Refusal)
    return answer.code


def test_ages_are_kept_in_range(predictor: Predictor) -> None:
    names = [f"{member.name} {head}" for member in predictor.manifest.members for head in member.weights]
    assert predictor.ensemble(dict.fromkeys(names, -30.0))[0] == 0
    assert predictor.ensemble(dict.fromkeys(names, 300.0))[0] == 240


def with_limits(predictor: Predictor, **parts: object) -> Predictor:
    """The same model with other limits or intervals."""
    manifest = predictor.manifest.model_copy(update=parts)
    return Predictor.of_manifest(model_zoo.model_dir(), manifest, "cpu")


def test_a_hand_on_which_the_networks_disagree_is_refused(predictor: Predictor, drawn: PhantomHand) -> None:
    spread_months = read(predictor, Hand(drawn.pixels, Sex.MALE)).spread_months
    for limit_months, refused in ((spread_months - 0.01, True), (spread_months, False)):
        limits = predictor.manifest.plausibility.model_copy(update={"spread_months": limit_months})
        (answer,) = with_limits(predictor, plausibility=limits).assess([Hand(drawn.pixels, Sex.MALE)])
        assert (isinstance(answer, Refusal) and answer.code is ReasonCode.READINGS_DISAGREE) is refused


@pytest.mark.parametrize("months", [None, 3.1])
def test_what_the_model_tells_of_its_repeatability_goes_with_the_reading(
    predictor: Predictor, drawn: PhantomHand, months: float | None
) -> None:
    telling = with_limits(predictor, repeatability_months=months)
    assert read(telling, Hand(drawn.pixels, Sex.MALE)).repeatability_months == months


def test_the_interval_is_that_of_the_sex_and_of_the_band_of_the_reading(
    predictor: Predictor, drawn: PhantomHand
) -> None:
    months = {sex: read(predictor, Hand(drawn.pixels, sex)).bone_age_months for sex in Sex}
    boy = months[Sex.MALE]
    bands = {
        Sex.MALE: (
            Band(below_months=boy - 1, factor=5),
            Band(below_months=boy + 1, factor=7),
            Band(below_months=boy + 2, factor=9),
        ),
        Sex.FEMALE: (Band(below_months=months[Sex.FEMALE] - 1, factor=11),),
    }
    interval = Interval(coverage=0.9, floor_months=2, slope=0.5, reader_sd_months=1.5, bands=bands)
    own = with_limits(predictor, interval=interval)
    for sex, factor in ((Sex.MALE, 7), (Sex.FEMALE, 11)):
        answer = read(own, Hand(drawn.pixels, sex))
        variance = 2**2 + 0.5 * answer.spread_months**2
        assert answer.reader_interval_months is not None
        for (low, high), deviation_months in (
            (answer.interval_months, math.sqrt(variance - 1.5**2)),
            (answer.reader_interval_months, math.sqrt(variance)),
        ):
            assert low == max(0, round(answer.bone_age_months - factor * deviation_months, 1))
            assert high == round(answer.bone_age_months + factor * deviation_months, 1)
        assert answer.interval_coverage == 0.9


def test_a_model_that_does_not_tell_readers_apart_has_the_interval_of_a_label(
    predictor: Predictor, drawn: PhantomHand
) -> None:
    bands = {sex: (Band(below_months=240, factor=17.18),) for sex in Sex}
    answer = read(
        with_limits(predictor, interval=Interval(coverage=0.95, bands=bands)), Hand(drawn.pixels, Sex.MALE)
    )
    read_months = answer.bone_age_months
    assert answer.interval_months == (round(read_months - 17.18, 1), round(read_months + 17.18, 1))
    assert answer.reader_interval_months is None
    assert answer.probability_outside_normal is None


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelError, match="cuda:99"):
        Predictor.load(model_zoo.model_dir(), "cuda:99")
