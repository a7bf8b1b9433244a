"""A series of drawn hands, spread evenly over the ages at which bone age is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from boneage_node.bone_age import Laterality, Sex

from .hand import PhantomHand, draw_hand

YOUNGEST_MONTHS, OLDEST_MONTHS = 12.0, 216.0
_HEIGHT_PX = 512
_MOST_TURNED_DEGREES = 20.0


def draw_series(count: int, seed: int) -> Iterator[PhantomHand]:
    """Draw hands of known age, one after the other: different children, in no order.

    Ages are stratified: one in each of ``count`` equal parts of 12 to 216 months. Neighbours in age differ in
    sex, so each sex is spread evenly too. Pictures are 512 pixels high; hands are left or right at random and
    turned by up to 20 degrees.

    Args:
        count: How many.
        seed: The same seed draws the same series.

    Raises:
        ValueError: The count is negative.
    """
    random = np.random.default_rng(seed)
    ages = YOUNGEST_MONTHS + (np.arange(count) + random.random(count)) * (
        (OLDEST_MONTHS - YOUNGEST_MONTHS) / max(count, 1)
    )
    for child in random.permutation(count):
        yield draw_hand(
            float(ages[child]),
            Sex.FEMALE if child % 2 == 0 else Sex.MALE,
            seed=int(random.integers(2**32)),
            height_px=_HEIGHT_PX,
            laterality=Laterality.LEFT if random.random() < 0.5 else Laterality.RIGHT,
            rotation_degrees=random.uniform(-_MOST_TURNED_DEGREES, _MOST_TURNED_DEGREES),
        )
