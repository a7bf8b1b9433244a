"""Reading arrays, as a researcher does."""

from __future__ import annotations

import numpy as np
import pytest

from boneage_node.bone_age import ReasonCode, Refusal, Sex, assess, load
from boneage_node.bone_age.predictor import Predictor
from boneage_node.phantom import draw_hand


@pytest.fixture(scope="module")
def model() -> Predictor:
    return load(device="cpu")


@pytest.fixture(scope="module")
def hand() -> np.ndarray:
    return draw_hand(100, Sex.FEMALE, seed=3, height_px=512).pixels


def test_the_same_hand_in_any_type_of_pixels_has_the_same_age(model: Predictor, hand: np.ndarray) -> None:
    told = assess(model, hand, sex="F", age_months=99)
    assert told.sex is Sex.FEMALE
    assert told.z_score is not None
    assert told.model == model.identity
    for pixels in (
        (255 * hand).astype(np.uint8),
        (65535 * hand).astype(np.uint16),
        (4095 * hand).astype(np.uint16),  # twelve bits in sixteen
        hand.astype(np.float64),
    ):
        again = assess(model, pixels, sex=Sex.FEMALE)
        assert again.bone_age_months == pytest.approx(told.bone_age_months, abs=1)
        assert again.z_score is None


def test_sex_may_be_unknown_and_must_be_said_to_be(model: Predictor, hand: np.ndarray) -> None:
    assert set(assess(model, hand, sex=None).months_by_sex) == set(Sex)
    with pytest.raises(ValueError, match="girl"):
        assess(model, hand, sex="girl")  # type: ignore[arg-type]


def test_what_is_no_hand_is_refused(model: Predictor) -> None:
    with pytest.raises(Refusal) as caught:
        assess(model, np.zeros((300, 200), np.uint8), sex="M")
    assert caught.value.code is ReasonCode.NO_HAND_FOUND


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((50, 50, 3), np.uint8), "shape"),
        (np.zeros((50, 50), np.int16), "int16"),
        (np.full((50, 50), 255.0), "must lie in"),
        (np.full((50, 50), np.nan), "must lie in"),
        (np.zeros((0, 50)), "must lie in"),
    ],
)
def test_other_arrays_are_an_error_that_says_what_is_wanted(
    model: Predictor, pixels: np.ndarray, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        assess(model, pixels, sex="M")
