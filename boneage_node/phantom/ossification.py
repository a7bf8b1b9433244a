"""When each centre of the hand and wrist ossifies, takes its shape and fuses, by sex.

Sources:
    Appearance: medians (50th percentile) after Garn SM, Rohmann CG, Silverman FN. Radiographic standards for
    postnatal ossification and tooth calcification. Med Radiogr Photogr 1967;43:45-66. Pisiform, which that
    table leaves out, and fusion: after the standards of Greulich WW, Pyle SI. Radiographic atlas of skeletal
    development of the hand and wrist, 2nd ed., Stanford 1959, and the stages of Gilsanz V, Ratib O. Hand bone
    age, Springer 2005. All are rounded: they place a drawing on the right side of a milestone and are no
    reference for reading a child's radiograph.

    ``shaped`` (an epiphysis as wide as its shaft, a carpal with its adult outline) is read off the same
    atlases' plates to about half a year.
"""

from __future__ import annotations

from dataclasses import dataclass

from boneage_node.bone_age import Sex

FINGERS = (1, 2, 3, 4, 5)
"""Rays of the hand, thumb to little finger."""

CARPALS = ("capitate", "hamate", "triquetrum", "lunate", "scaphoid", "trapezium", "trapezoid", "pisiform")


@dataclass(frozen=True)
class Milestones:
    """Ages of one centre in one sex, in months.

    Attributes:
        appears: First seen as a dot.
        shaped: Has its mature width and outline, relative to the hand.
        fused: United with its shaft without a gap; None for centres that never fuse.
        fusing_months: How long before ``fused`` the growth plate begins to close.
    """

    appears: float
    shaped: float
    fused: float | None = None
    fusing_months: float = 18.0

    def size(self, age_months: float) -> float:
        """Linear size at an age as a fraction of the mature one; 0 before the centre appears."""
        if age_months < self.appears:
            return 0.0
        progress = min(1.0, (age_months - self.appears) / (self.shaped - self.appears))
        return float(0.22 + 0.78 * progress**0.62)

    def fusion(self, age_months: float) -> float:
        """Closure of the growth plate: 0 open, 1 fused; 0 for centres that never fuse."""
        if self.fused is None:
            return 0.0
        return float(min(1.0, max(0.0, 1.0 - (self.fused - age_months) / self.fusing_months)))


def _years(female: float, male: float) -> tuple[float, float]:
    return female * 12.0, male * 12.0


# Median age at appearance in months: (girls, boys).
_APPEARS: dict[str, tuple[float, float]] = {
    "capitate": (2, 3),
    "hamate": (2, 4),
    "radius": (10, 13),
    "triquetrum": (20, 29),
    "lunate": (31, 49),
    "scaphoid": (49, 68),
    "trapezium": (49, 70),
    "trapezoid": (50, 75),
    "ulna": (64, 85),
    "pisiform": (96, 121),
    "sesamoid": (129, 153),
    "proximal_phalanx_1": (21, 36),
    "proximal_phalanx_2": (11, 17),
    "proximal_phalanx_3": (10, 16),
    "proximal_phalanx_4": (11, 18),
    "proximal_phalanx_5": (14, 21),
    "middle_phalanx_2": (16, 26),
    "middle_phalanx_3": (15, 24),
    "middle_phalanx_4": (15, 25),
    "middle_phalanx_5": (24, 41),
    "distal_phalanx_1": (12, 18),
    "distal_phalanx_2": (30, 38),
    "distal_phalanx_3": (18, 29),
    "distal_phalanx_4": (18, 29),
    "distal_phalanx_5": (24, 39),
    "metacarpal_1": (19, 31),
    "metacarpal_2": (13, 19),
    "metacarpal_3": (14, 21),
    "metacarpal_4": (15, 24),
    "metacarpal_5": (16, 26),
}

# Kind of centre -> (shaped, fused) in months, each (girls, boys); kinds are the names without the ray.
_SHAPED_AND_FUSED: dict[str, tuple[tuple[float, float], tuple[float, float] | None]] = {
    "carpal": (_years(11.0, 13.0), None),
    "sesamoid": (_years(13.5, 15.5), None),
    "distal_phalanx": (_years(9.0, 11.0), _years(13.5, 15.5)),
    "proximal_phalanx": (_years(9.0, 11.0), _years(14.5, 16.25)),
    "middle_phalanx": (_years(9.5, 11.5), _years(14.75, 16.5)),
    "metacarpal": (_years(10.0, 12.0), _years(15.0, 16.75)),
    "ulna": (_years(12.0, 14.0), _years(16.25, 17.75)),
    "radius": (_years(10.5, 12.5), _years(17.0, 18.5)),
}

_FUSING_MONTHS = {"radius": 24.0, "ulna": 20.0}


def milestones(centre: str, sex: Sex) -> Milestones:
    """Ages of one centre.

    Args:
        centre: Name of a carpal or an epiphysis, e.g. ``"capitate"`` or ``"middle_phalanx_5"``.
        sex: Girls are ahead of boys at every centre.

    Raises:
        KeyError: No such centre.
    """
    column = 0 if sex is Sex.FEMALE else 1
    kind = "carpal" if centre in CARPALS else centre.rstrip("_12345")
    shaped, fused = _SHAPED_AND_FUSED[kind]
    return Milestones(
        appears=_APPEARS[centre][column],
        shaped=shaped[column],
        fused=None if fused is None else fused[column],
        fusing_months=_FUSING_MONTHS.get(kind, 18.0),
    )
