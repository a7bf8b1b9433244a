"""The transformations of the stress test, on small pictures, and what they are found to change."""

from __future__ import annotations

import numpy as np
import pytest
from support.evaluation import a_reading, an_assessment

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.evaluation import stress

RAMP = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("variant", stress.VARIANTS, ids=stress.key)
def test_every_variant_is_a_picture_again(variant: stress.Variant) -> None:
    image = np.random.default_rng(1).random((60, 40), dtype=np.float32)
    before = image.copy()
    changed = variant.apply(image)
    assert changed.dtype == np.float32
    assert changed.flags.c_contiguous
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert changed.shape != image.shape or np.abs(changed - image).max() > 0.1
    assert np.array_equal(image, before)


def test_all_seven_transformations_are_there_and_names_are_unique() -> None:
    assert {variant.transformation for variant in stress.VARIANTS} == {
        "rotation",
        "flip",
        "brightness",
        "contrast",
        "inversion",
        "marker",
        "resolution",
    }
    assert len({stress.key(variant) for variant in stress.VARIANTS}) == len(stress.VARIANTS)


def test_a_turn_is_counter_clockwise_and_keeps_the_whole_picture() -> None:
    image = np.zeros((40, 60), dtype=np.float32)
    image[:, -1] = 1  # the right edge
    assert stress.turn(90, image).shape == (60, 40)
    assert (stress.turn(90, image)[0] == 1).all()  # is on top
    tilted = stress.turn(20, np.ones((40, 60), dtype=np.float32))
    assert tilted.shape == pytest.approx((58, 70), abs=1)
    assert tilted.sum() == pytest.approx(2400, rel=0.02)
    assert tilted[0, 0] == 0


def test_flips() -> None:
    assert np.array_equal(stress.flip(1, RAMP)[0], RAMP[0, ::-1])
    assert np.array_equal(stress.flip(0, RAMP)[:, 0], RAMP[::-1, 0])


def test_greys() -> None:
    assert stress.brightness(0.5, RAMP) == pytest.approx(RAMP / 2)
    assert stress.brightness(1.5, RAMP)[-1, -2:].tolist() == [1, 1]
    halved = stress.contrast(0.5, RAMP)
    assert halved.mean() == pytest.approx(RAMP.mean())
    assert halved.std() == pytest.approx(RAMP.std() / 2)
    assert stress.invert(RAMP) == pytest.approx(1 - RAMP)


def test_a_marker_lies_where_it_is_put_and_has_the_size_asked_for() -> None:
    image = np.full((400, 300), 0.25, dtype=np.float32)
    marked = stress.mark("L", 0.9, 0.1, 0.1, image)
    rows, columns = np.nonzero(marked > 0.9)
    assert rows.mean() == pytest.approx(40, abs=12)
    assert columns.mean() == pytest.approx(270, abs=12)
    assert np.ptp(rows) == pytest.approx(40, abs=4)
    assert (marked[100:] == image[100:]).all()
    assert not np.array_equal(marked, stress.mark("R", 0.9, 0.1, 0.1, image))


def test_a_lower_resolution_averages() -> None:
    stripes = np.tile(np.array([0, 1], dtype=np.float32), (40, 20))
    reduced = stress.reduce(0.25, stripes)
    assert reduced.shape == (10, 10)
    assert reduced == pytest.approx(np.full((10, 10), 0.5), abs=0.1)


def test_changes_are_over_the_images_read_both_ways() -> None:
    refused = Refusal(ReasonCode.NO_HAND_FOUND)
    readings = [
        a_reading(100, an_assessment(102)),
        a_reading(100, an_assessment(96)),
        a_reading(100, an_assessment(180)),  # refused when transformed: its error counts nowhere
        a_reading(100, ReasonCode.NO_HAND_FOUND),
    ]
    moved = [an_assessment(105), an_assessment(110), refused, an_assessment(100)]
    rows = stress.stress_table(readings, {stress.key(variant): moved for variant in stress.VARIANTS})
    assert len(rows) == len(stress.VARIANTS)
    assert rows[0] == {
        "transformation": "rotation",
        "variant": "20°",
        "images": 4,
        "refusals": {"no-hand-found": 1},
        "newly_refused": 1,
        "read_both_ways": 2,
        "mae_months": 7.5,  # 5 and 10, before 2 and 4
        "mae_change_months": 4.5,
        "large_changes": 0.5,  # 3 and 14
    }


def test_a_variant_of_which_nothing_was_read_has_no_error() -> None:
    refused = Refusal(ReasonCode.NO_HAND_FOUND)
    answers = {stress.key(variant): [refused] for variant in stress.VARIANTS}
    row = stress.stress_table([a_reading(100, an_assessment(100))], answers)[0]
    assert (row["read_both_ways"], row["mae_months"], row["large_changes"]) == (0, None, None)
