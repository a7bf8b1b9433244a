"""Polylines are simplified as skimage does it, without loading what skimage loads for that."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage.measure import approximate_polygon
from support.report import hand_outline

from boneage_node.bone_age.polyline import simplified


@pytest.mark.parametrize("noise_px", [0, 0.3, 3])
@pytest.mark.parametrize("tolerance_px", [0.5, 1, 20])
def test_the_same_points_are_left_as_by_skimage(noise_px: float, tolerance_px: float) -> None:
    outline = hand_outline(600) + np.random.default_rng(1).normal(0, noise_px, (600, 2))
    closed = np.vstack([outline, outline[:1]])
    left = simplified(closed, tolerance_px)
    np.testing.assert_array_equal(left, approximate_polygon(closed, tolerance_px))
    assert 2 < len(left) < len(closed)


def test_a_worker_does_without_scipy_signal() -> None:
    program = "import sys, boneage_node.node.worker; print([m for m in {} if m in sys.modules])"
    heavy = ["scipy.signal", "scipy.stats", "alembic"]
    done = subprocess.run([sys.executable, "-c", program.format(heavy)], capture_output=True, text=True)
    assert done.stdout == "[]\n"
