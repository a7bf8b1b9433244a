"""The drawn hand: its anatomy follows the literature's ages, and its truth fits its picture."""

import numpy as np
import pytest
from scipy.ndimage import label

from boneage_node.bone_age import Laterality, Sex
from boneage_node.phantom import draw_hand
from boneage_node.phantom.anatomy import hand_length_mm
from boneage_node.phantom.ossification import CARPALS, FINGERS, milestones

SIDES = list(Laterality)
EPIPHYSES = {
    "radius",
    "ulna",
    *(
        f"{bone}_{finger}"
        for bone in ("metacarpal", "proximal_phalanx", "distal_phalanx")
        for finger in FINGERS
    ),
    *(f"middle_phalanx_{finger}" for finger in FINGERS[1:]),
}
CENTRES = {*EPIPHYSES, *CARPALS, "sesamoid"}


def visible_centres(age_months: float, sex: Sex) -> set[str]:
    return {name for name in CENTRES if milestones(name, sex).size(age_months) > 0}


def fused_centres(age_months: float, sex: Sex) -> set[str]:
    return {name for name in CENTRES if milestones(name, sex).fusion(age_months) >= 1}


def draw(age_months: float, sex: Sex = Sex.FEMALE, **options):
    return draw_hand(age_months, sex, **{"seed": 5, "height_px": 256, **options})


@pytest.mark.parametrize("sex", list(Sex))
def test_centres_only_appear_as_a_child_grows(sex):
    counts = [len(visible_centres(age, sex)) for age in range(0, 229, 3)]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert visible_centres(228, sex) == CENTRES


@pytest.mark.parametrize("centre", sorted(CENTRES))
def test_girls_are_ahead_of_boys_at_every_centre_and_milestone(centre):
    girl, boy = milestones(centre, Sex.FEMALE), milestones(centre, Sex.MALE)
    assert girl.appears <= boy.appears
    assert girl.shaped < boy.shaped
    assert girl.appears < girl.shaped
    if girl.fused is not None:
        assert girl.shaped < girl.fused < boy.fused


@pytest.mark.parametrize("sex", list(Sex))
def test_all_epiphyses_have_fused_by_nineteen_and_none_by_twelve(sex):
    assert fused_centres(228, sex) == EPIPHYSES
    assert not fused_centres(144, sex)


def test_milestones_a_radiologist_knows():
    assert {"capitate", "hamate"} <= visible_centres(4, Sex.MALE)
    assert "radius" in visible_centres(12, Sex.FEMALE)
    assert "radius" not in visible_centres(12, Sex.MALE)
    assert "pisiform" not in visible_centres(84, Sex.MALE)
    assert "sesamoid" in visible_centres(132, Sex.FEMALE)
    assert "sesamoid" not in visible_centres(132, Sex.MALE)
    assert "radius" not in fused_centres(192, Sex.FEMALE)


def capitate_contrast(hand):
    """How much brighter the wrist's middle is than the flesh around it."""
    x, y = hand.key_points_px["capitate"]
    rows, columns = np.indices(hand.pixels.shape)
    away_mm = np.hypot(columns - x, rows - y) * hand.spacing_mm
    around = (away_mm > 3) & (away_mm < 4) & (rows > y - 2 / hand.spacing_mm)
    return hand.pixels[away_mm < 0.8].mean() - np.median(hand.pixels[around])


@pytest.mark.parametrize("sex", list(Sex))
def test_the_capitate_is_not_in_a_newborns_picture_but_in_a_toddlers(sex):
    assert capitate_contrast(draw(1, sex, height_px=512)) < 0.0
    assert capitate_contrast(draw(15, sex, height_px=512)) > 0.012


def test_growth_plates_are_dark_in_a_child_and_gone_in_an_adult():
    def plate_px(age_months):
        """Dark samples along the third finger's axis, between the capitate and its tip."""
        hand = draw(age_months, Sex.MALE, height_px=700)
        ends = [np.array(hand.key_points_px[name]) for name in ("capitate", "middle_tip")]
        line = ends[0] + np.linspace(0.12, 0.85, 600)[:, None] * (ends[1] - ends[0])
        columns, rows = np.round(line).astype(int).T
        return int(
            np.count_nonzero(hand.pixels[rows, columns] < 0.62 * np.median(hand.pixels[rows, columns]))
        )

    assert plate_px(24) > 3 * plate_px(228)


@pytest.mark.parametrize("laterality", SIDES)
@pytest.mark.parametrize("rotation_degrees", [0.0, 28.0, -20.0])
@pytest.mark.parametrize("age_months", [3.0, 60.0, 200.0])
def test_mask_and_key_points_fit_the_picture(laterality, rotation_degrees, age_months):
    hand = draw(age_months, laterality=laterality, rotation_degrees=rotation_degrees)
    height, width = hand.pixels.shape
    assert hand.pixels.dtype == np.float32
    assert hand.pixels.min() >= 0
    assert hand.pixels.max() <= 1
    assert hand.mask.shape == hand.pixels.shape
    assert label(hand.mask)[1] == 1, "one hand, in one piece"
    assert hand.mask[-1].any(), "the forearm leaves the lower edge"
    assert not hand.mask[0].any(), "the fingers do not leave the upper edge"
    x, y = hand.key_points_px["capitate"]
    assert hand.mask[round(y), round(x)]
    for tip in ("middle_tip", "thumb_tip"):
        x, y = hand.key_points_px[tip]
        assert 0 < x < width
        assert 0 < y < height
        near = hand.mask[max(round(y) - 3, 0) : round(y) + 4, max(round(x) - 3, 0) : round(x) + 4]
        assert near.any(), tip
        assert not near.all(), f"{tip} is at the edge of the hand"
    inside, outside = hand.pixels[hand.mask], hand.pixels[~hand.mask]
    assert np.median(inside) > np.median(outside) + 0.1


def test_a_left_hand_has_its_thumb_on_the_right_and_a_right_hand_is_its_mirror():
    left, right = draw(100), draw(100, laterality=Laterality.RIGHT)
    assert left.key_points_px["thumb_tip"][0] > left.key_points_px["capitate"][0]
    assert right.key_points_px["thumb_tip"][0] < right.key_points_px["capitate"][0]
    assert np.mean(left.mask != right.mask[:, ::-1]) < 0.002


def test_rotation_turns_the_hand_counter_clockwise():
    hand = draw(100, rotation_degrees=25.0)
    tip, capitate = (np.array(hand.key_points_px[name]) for name in ("middle_tip", "capitate"))
    straight = draw(100)
    tip0, capitate0 = (np.array(straight.key_points_px[name]) for name in ("middle_tip", "capitate"))

    def direction(x, y):
        return np.degrees(np.arctan2(-y, x))

    assert direction(*(tip - capitate)) - direction(*(tip0 - capitate0)) == pytest.approx(25.0, abs=0.01)


def test_hands_grow_and_spacing_measures_them():
    lengths = []
    for age_months in (6, 24, 72, 120, 192):
        hand = draw(age_months, Sex.MALE)
        tip, capitate = (np.array(hand.key_points_px[name]) for name in ("middle_tip", "capitate"))
        lengths.append(np.linalg.norm(tip - capitate) * hand.spacing_mm)
    assert lengths == sorted(lengths)
    assert 140 < lengths[-1] < 190
    assert hand_length_mm(228, Sex.MALE) > hand_length_mm(228, Sex.FEMALE)


def test_a_seed_decides_everything():
    one, same, other = draw(90), draw(90), draw(90, seed=6)
    assert np.array_equal(one.pixels, same.pixels)
    assert np.array_equal(one.mask, same.mask)
    assert one.key_points_px == same.key_points_px
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)


def test_a_collimator_darkens_the_border_only():
    open_field, framed = draw(90), draw(90, collimated=True)
    assert framed.pixels[:2].max() == 0
    middle = (slice(60, 200), slice(60, 140))
    assert np.array_equal(open_field.pixels[middle], framed.pixels[middle])


@pytest.mark.parametrize("age_months", [-1.0, 229.0, float("nan")])
def test_ages_beyond_the_table_are_refused(age_months):
    with pytest.raises(ValueError, match="age must be"):
        draw(age_months)


def test_tiny_pictures_are_refused():
    with pytest.raises(ValueError, match="64 pixels"):
        draw(90, height_px=10)
