"""A drawn radiograph of a child's hand, with what is true about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from boneage_node.bone_age import Laterality, Sex

from .anatomy import Skeleton, pose_skeleton
from .bones import draw_bones
from .canvas import Array, Canvas, View
from .exposure import Exposure, add_marker, collimate, expose
from .soft_tissue import draw_flesh, palm_outline_mm

MAXIMUM_AGE_MONTHS = 228.0
_FINER = 2


@dataclass(frozen=True)
class PhantomHand:
    """A drawn hand and the truth about it.

    Attributes:
        pixels: (height, width) float32 in [0, 1], bone bright, fingers up at no rotation.
        mask: (height, width) bool: hand and forearm.
        key_points_px: ``middle_tip``, ``thumb_tip`` and ``capitate`` as (x, y) = (column, row) in pixels.
        spacing_mm: Edge of a pixel.
        age_months: Bone age, and age, of the drawn child.
        sex: The child's sex.
        laterality: Which hand.
    """

    pixels: Array
    mask: npt.NDArray[np.bool_]
    key_points_px: dict[str, tuple[float, float]]
    spacing_mm: float
    age_months: float
    sex: Sex
    laterality: Laterality


def draw_hand(
    age_months: float,
    sex: Sex,
    *,
    seed: int,
    height_px: int = 900,
    laterality: Laterality = Laterality.LEFT,
    rotation_degrees: float = 0.0,
    collimated: bool = False,
) -> PhantomHand:
    """Draw a posteroanterior radiograph of a hand lying flat.

    Args:
        age_months: 0 to 228; decides which centres have ossified, grown and fused.
        sex: Girls are ahead of boys of the same age.
        seed: The same seed draws the same child: size, pose, exposure and noise.
        height_px: Height of the picture; its width follows from the hand.
        laterality: A left hand has its thumb on the right of the picture.
        rotation_degrees: Counter-clockwise turn of the hand in the picture.
        collimated: Frame the picture by a collimator's edges.

    Raises:
        ValueError: The age is outside 0 to 228 months, or the picture lower than 64 pixels.
    """
    if not 0 <= age_months <= MAXIMUM_AGE_MONTHS:
        raise ValueError(f"age must be 0 to {MAXIMUM_AGE_MONTHS:.0f} months, not {age_months}")
    if height_px < 64:
        raise ValueError(f"the picture must be at least 64 pixels high, not {height_px}")
    random = np.random.default_rng(seed)
    skeleton = pose_skeleton(age_months, sex, random)
    view, shape = _frame(skeleton, height_px, np.radians(rotation_degrees), laterality, random)
    fine_shape = (shape[0] * _FINER, shape[1] * _FINER)
    canvas = Canvas(view.finer(_FINER), fine_shape, _grain(fine_shape, view.spacing_mm / _FINER, random))
    silhouette = draw_flesh(canvas, skeleton)
    draw_bones(canvas, skeleton, age_months, sex)
    add_marker(canvas.attenuation, silhouette, laterality, canvas.view.spacing_mm, random)
    attenuation = _shrink(canvas.attenuation)
    pixels = expose(attenuation, view.spacing_mm, Exposure.vary(random), random)
    if collimated:
        pixels = collimate(pixels, view.spacing_mm, random)
    places = {"middle_tip": skeleton.tip_mm(3), "thumb_tip": skeleton.tip_mm(1), "capitate": np.zeros(2)}
    points = {name: view.to_pixels(place) for name, place in places.items()}
    return PhantomHand(
        pixels=pixels,
        mask=_shrink(silhouette.astype(np.float32)) >= 0.5,
        key_points_px={name: (float(x), float(y)) for name, (x, y) in points.items()},
        spacing_mm=view.spacing_mm,
        age_months=age_months,
        sex=sex,
        laterality=laterality,
    )


def _frame(
    skeleton: Skeleton, height_px: int, rotation: float, laterality: Laterality, random: np.random.Generator
) -> tuple[View, tuple[int, int]]:
    """A view that holds the whole hand and a piece of forearm, with a margin."""
    view = View(1.0, (0.0, 0.0), rotation, laterality)
    width = skeleton.width_scale
    tips = np.array([skeleton.tip_mm(finger) for finger in skeleton.rays])
    hand = view.to_picture_mm(np.vstack([tips, palm_outline_mm(skeleton)]))
    down = np.array([np.sin(skeleton.forearm_radians), np.cos(skeleton.forearm_radians)])
    elbow = view.to_picture_mm([-random.uniform(72.0, 120.0) * skeleton.length_scale * down])
    left, right = hand[:, 0].min() - 7 * width, hand[:, 0].max() + 7 * width
    bottom, top = elbow[0, 1], hand[:, 1].max()
    margin = random.uniform(0.05, 0.13) * (top - bottom)
    left, right, top = left - margin, right + margin, top + margin
    spacing = (top - bottom) / height_px
    width_px = int(np.ceil((right - left) / spacing / 2)) * 2
    left = (left + right - width_px * spacing) / 2  # centred, so that a right hand is an exact mirror image
    return View(float(spacing), (float(left), float(top)), rotation, laterality), (height_px, width_px)


def _grain(shape: tuple[int, int], pixel_mm: float, random: np.random.Generator) -> Array:
    """Zero-mean noise with the grain of spongy bone, about one standard deviation."""
    noise = random.standard_normal(shape).astype(np.float32)
    grain = gaussian_filter(noise, 0.22 / pixel_mm) - gaussian_filter(noise, 0.75 / pixel_mm)
    return np.asarray(grain / grain.std(), dtype=np.float32)


def _shrink(fine: Array) -> Array:
    """Mean over blocks: what a detector pixel sees of finer rays."""
    height, width = fine.shape[0] // _FINER, fine.shape[1] // _FINER
    return np.asarray(fine.reshape(height, _FINER, width, _FINER).mean(axis=(1, 3)), dtype=np.float32)
