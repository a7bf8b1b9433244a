"""The skeleton of a left hand as numbers: where each bone lies, how long and how wide it is, at any age.

Lengths are millimetres of a grown man's hand, scaled by age and sex. The frame has its origin in the centre
of the capitate, x towards the thumb and y towards the fingers. Proportions of metacarpals and phalanges
follow Garn SM, Hertzog KP, Poznanski AK, Nagy JM. Metacarpophalangeal length in the evaluation of skeletal
malformation. Radiology 1972;105:375-381; hand length by age follows Snyder RG et al. Anthropometry of
infants, children, and youths to age 18. UM-HSRI-77-17, 1977; both rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from boneage_node.bone_age import Sex

from .ossification import FINGERS

Point = npt.NDArray[np.float64]

ADULT_HAND_LENGTH_MM = 192.0

_HAND_LENGTH_YEARS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19)
_HAND_LENGTH_MM = {
    Sex.MALE: (64, 92, 104, 112, 119, 126, 133, 139, 145, 151, 157, 162, 169, 177, 185, 189, 191, 192, 192),
    Sex.FEMALE: (63, 91, 103, 111, 118, 125, 132, 138, 144, 151, 158, 165, 170, 173, 175, 175, 176, 176, 176),
}

# Base of each metacarpal (x, y), its direction and that of its finger in degrees from y towards the thumb.
_BASES_MM = {1: (26.0, 3.0), 2: (13.0, 13.0), 3: (1.5, 13.5), 4: (-9.0, 11.0), 5: (-17.5, 7.0)}
_METACARPAL_DEGREES = {1: 40.0, 2: 11.5, 3: 1.0, 4: -10.5, 5: -22.5}
_FINGER_DEGREES = {1: 33.0, 2: 10.0, 3: 1.0, 4: -8.5, 5: -20.0}

# Lengths in mm of the metacarpal and the phalanges, proximal to distal, joint to joint.
_LENGTHS_MM = {
    1: (47.0, 33.0, 24.0),
    2: (69.0, 42.0, 25.0, 19.0),
    3: (66.5, 46.5, 30.0, 20.0),
    4: (59.5, 43.5, 28.5, 20.5),
    5: (55.5, 34.5, 21.0, 18.0),
}
# Half widths at the middle of the shaft.
_HALF_WIDTHS_MM = {
    1: (5.6, 5.0, 3.6),
    2: (4.7, 5.2, 4.4, 2.7),
    3: (4.8, 5.4, 4.6, 2.9),
    4: (4.0, 4.9, 4.4, 2.8),
    5: (4.2, 4.3, 3.5, 2.4),
}


@dataclass(frozen=True)
class LongBone:
    """A bone with a shaft, in the hand's frame.

    Attributes:
        name: Its epiphyseal centre's name in :mod:`.ossification`.
        kind: ``metacarpal``, ``proximal_phalanx``, ... or ``first_metacarpal``, ``radius``, ``ulna``.
        start_mm: Proximal joint, (x, y).
        angle_radians: Direction of the shaft, from y towards x.
        length_mm: From joint to joint, cartilage included.
        half_width_mm: At the middle of the shaft.
    """

    name: str
    kind: str
    start_mm: tuple[float, float]
    angle_radians: float
    length_mm: float
    half_width_mm: float

    @property
    def direction(self) -> Point:
        """Unit vector from proximal to distal."""
        return np.array([np.sin(self.angle_radians), np.cos(self.angle_radians)])

    @property
    def end_mm(self) -> Point:
        """Distal joint, (x, y)."""
        return np.array(self.start_mm) + self.length_mm * self.direction


@dataclass(frozen=True)
class Skeleton:
    """All bones of one hand in one pose.

    Attributes:
        length_scale: Hand length relative to a grown man's.
        width_scale: The same for widths: children's bones and fingers are stouter.
        rays: Per finger, metacarpal first, the bones from proximal to distal.
        radius: Distal end is the wrist joint.
        ulna: Distal end is the wrist joint.
        forearm_radians: Direction of the forearm towards the hand, from y towards x.
    """

    length_scale: float
    width_scale: float
    rays: dict[int, tuple[LongBone, ...]]
    radius: LongBone
    ulna: LongBone
    forearm_radians: float

    def tip_mm(self, finger: int) -> Point:
        """Tip of the soft tissue of a finger."""
        last = self.rays[finger][-1]
        return np.asarray(last.end_mm + 3.6 * self.width_scale * last.direction)


def hand_length_mm(age_months: float, sex: Sex) -> float:
    """Average length of the hand, wrist crease to tip of the middle finger."""
    return float(np.interp(age_months / 12.0, _HAND_LENGTH_YEARS, _HAND_LENGTH_MM[sex]))


def pose_skeleton(age_months: float, sex: Sex, random: np.random.Generator) -> Skeleton:
    """Place the bones of a hand lying flat, with a person's small variations in size and pose.

    Args:
        age_months: 0 to 228.
        sex: Boys' grown hands are longer and their bones stouter.
        random: Source of the variations.
    """
    scale = hand_length_mm(age_months, sex) / ADULT_HAND_LENGTH_MM * random.normal(1.0, 0.02)
    stoutness = {Sex.MALE: 1.0, Sex.FEMALE: 0.94}[sex] if age_months > 144 else 1.0
    width_scale = scale**0.7 * stoutness * random.normal(1.0, 0.025)
    spread = random.uniform(0.75, 1.7)
    rays = {finger: _pose_ray(finger, scale, width_scale, spread, random) for finger in FINGERS}
    forearm = np.radians(random.normal(-2.0, 6.0))
    return Skeleton(
        length_scale=float(scale),
        width_scale=float(width_scale),
        rays=rays,
        radius=_forearm_bone("radius", (8.5, -24.5), forearm, scale, width_scale),
        ulna=_forearm_bone("ulna", (-17.0, -27.0), forearm + np.radians(1.0), scale, width_scale),
        forearm_radians=float(forearm),
    )


def _pose_ray(
    finger: int, scale: float, width_scale: float, spread: float, random: np.random.Generator
) -> tuple[LongBone, ...]:
    middle = () if finger == 1 else ("middle_phalanx",)
    kinds = ("metacarpal", "proximal_phalanx", *middle, "distal_phalanx")
    start = np.array(_BASES_MM[finger]) * scale
    degrees = (
        _METACARPAL_DEGREES[finger] + random.normal(0.0, 1.0) + (4.0 * (spread - 1) if finger == 1 else 0)
    )
    bones = []
    for index, kind in enumerate(kinds):
        if index == 1:
            degrees = _FINGER_DEGREES[finger] * spread + random.normal(0.0, 1.5)
        elif index > 1:
            degrees += random.normal(0.0, 1.5)
        bone = LongBone(
            name=f"{kind}_{finger}",
            kind="first_metacarpal" if (finger, index) == (1, 0) else kind,
            start_mm=(float(start[0]), float(start[1])),
            angle_radians=float(np.radians(degrees)),
            length_mm=float(_LENGTHS_MM[finger][index] * scale * random.normal(1.0, 0.015)),
            half_width_mm=float(_HALF_WIDTHS_MM[finger][index] * width_scale * random.normal(1.0, 0.02)),
        )
        bones.append(bone)
        start = bone.end_mm
    return tuple(bones)


def _forearm_bone(
    name: str, joint_mm: tuple[float, float], angle: float, scale: float, width_scale: float
) -> LongBone:
    """A forearm bone from far below the image up to its joint; it turns about the capitate's foot."""
    pivot = np.array([0.0, -14.0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    joint = (turn @ (np.array(joint_mm) - pivot) + pivot) * [width_scale, scale]
    length = 260.0 * scale
    start = joint - length * np.array([np.sin(angle), np.cos(angle)])
    half_width = {"radius": 7.1, "ulna": 5.6}[name] * width_scale
    return LongBone(name, name, (float(start[0]), float(start[1])), float(angle), length, half_width)


CARPAL_OUTLINES_MM: dict[str, tuple[tuple[float, float], ...]] = {
    "capitate": (
        (-6, 11),
        (1, 12.5),
        (7, 10),
        (7.5, 2),
        (5.5, -6),
        (3, -11.5),
        (-2, -12),
        (-6, -7),
        (-6.5, 2),
    ),
    "hamate": (
        (-18.5, 5.5),
        (-13, 9.5),
        (-7.5, 9.5),
        (-7, 1),
        (-7, -7),
        (-9.5, -10.5),
        (-16, -4),
        (-19.5, 1),
    ),
    "triquetrum": ((-21.5, -3.5), (-17, -5), (-11, -12), (-11.5, -18), (-17, -18), (-22.5, -11)),
    "lunate": ((-9.5, -13), (-4, -13.5), (1.5, -12.5), (4.5, -17), (3.5, -22.5), (-3.5, -24.5), (-10, -21.5)),
    "scaphoid": (
        (4.5, -11.5),
        (8.5, -5),
        (13, -3),
        (18.5, -6.5),
        (18, -12),
        (13.5, -19),
        (7.5, -22.5),
        (5, -19),
    ),
    "trapezium": ((17, 5.5), (22, 7), (28, 2), (28, -4), (22.5, -7), (17.5, -4), (15.5, 0)),
    "trapezoid": ((8.5, 11), (14, 12), (17, 8), (16, 1), (13, -2.5), (8.5, -1.5), (8, 4)),
    "pisiform": ((-22, -10), (-18.5, -7.5), (-14.5, -10), (-14, -15), (-18, -18), (-21.5, -15)),
}
"""Adult outlines as corner points (x, y) in the hand's frame, before smoothing."""

CARPAL_THICKNESS_MM = 11.0
"""Depth of a grown man's carpal in the beam's direction."""
