"""A series covers every age, both sexes and both hands, and a seed decides it."""

import numpy as np
import pytest

from boneage_node.bone_age import Laterality, Sex
from boneage_node.phantom import draw_series


@pytest.fixture(scope="module")
def hands():
    return list(draw_series(8, seed=3))


def test_every_part_of_childhood_has_one_hand_and_both_sexes_are_spread_evenly(hands):
    ages = np.array([hand.age_months for hand in hands])
    assert sorted((ages - 12) // 25.5) == list(range(8))
    assert not np.array_equal(ages, np.sort(ages)), "shuffled"
    for sex in Sex:
        assert sorted((hand.age_months - 12) // 51 for hand in hands if hand.sex is sex) == list(range(4))
    assert {hand.laterality for hand in hands} == set(Laterality)
    assert {hand.pixels.shape[0] for hand in hands} == {512}


def test_hands_are_turned_a_little_and_differently(hands):
    turns = []
    for hand in hands:
        tip, capitate = (np.array(hand.key_points_px[name]) for name in ("middle_tip", "capitate"))
        turns.append(np.degrees(np.arctan2(capitate[0] - tip[0], capitate[1] - tip[1])))
    assert np.ptp(turns) > 10
    assert np.abs(turns).max() < 27


def test_a_seed_decides_the_series(hands):
    same, other = next(draw_series(8, seed=3)), next(draw_series(8, seed=4))
    assert np.array_equal(same.pixels, hands[0].pixels)
    assert same.age_months == hands[0].age_months
    assert other.age_months != hands[0].age_months


def test_an_empty_series_is_empty():
    assert list(draw_series(0, seed=3)) == []
