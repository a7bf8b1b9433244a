"""Stress test: readings of transformed pictures, by the seven transformations of a published one.

Source: Santomartino, Putman, Beheshtian, Parekh and Yi, "Evaluating the robustness of a deep learning bone
age algorithm to clinical image variation using computational stress testing", Radiology: Artificial
Intelligence 2024. Its abstract names the seven; how far each goes is chosen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.transform import rescale, rotate

from boneage_node.bone_age import Answer, Assessment, Hand, Refusal
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.rsna import read_image

from .parallel import each
from .readings import Reading, refusals, rounded

LARGE_CHANGE_MONTHS = 12.0


@dataclass(frozen=True)
class Variant:
    """One way to change a picture.

    Attributes:
        transformation: Which of the seven.
        name: How far it goes.
        apply: From one picture, float32 in [0, 1], to another, of any size.
    """

    transformation: str
    name: str
    apply: Callable[[Grey], Grey]


def turn(degrees: float, image: Grey) -> Grey:
    """Turned counter-clockwise on a canvas that holds all of it, black beside it."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, int(degrees // 90)))
    return _grey(rotate(image, degrees, resize=True, order=1))


def flip(axis: int, image: Grey) -> Grey:
    """Mirrored: axis 0 turns top to bottom, axis 1 left to right."""
    return np.ascontiguousarray(np.flip(image, axis))


def brightness(factor: float, image: Grey) -> Grey:
    """All greys multiplied; what gets brighter than white is lost."""
    return _grey(image * factor)


def contrast(factor: float, image: Grey) -> Grey:
    """Distances from the mean grey multiplied; what leaves the range is lost."""
    mean = float(image.mean())
    return _grey(mean + (image - mean) * factor)


def invert(image: Grey) -> Grey:
    """Bone dark, as on a film laid on paper."""
    return _grey(1 - image)


def mark(letter: str, across: float, down: float, size: float, image: Grey) -> Grey:
    """A white letter laid on the picture, as a lead marker shows.

    Args:
        letter: ``L`` or ``R``.
        across: Its centre, as a share of the picture's width.
        down: Likewise of the picture's height.
        size: Its height, as a share of the picture's longer side.
        image: Shape (height, width).
    """
    height, width = image.shape
    canvas = Image.new("L", (width, height))
    # a capital letter is about 0.73 of the font's size
    font = ImageFont.load_default(size=max(8.0, size * max(height, width) / 0.73))
    ImageDraw.Draw(canvas).text((across * width, down * height), letter, fill=255, font=font, anchor="mm")
    return _grey(np.maximum(image, np.asarray(canvas, dtype=np.float32) / 255))


def reduce(factor: float, image: Grey) -> Grey:
    """A smaller picture, smoothed first."""
    return _grey(rescale(image, factor, order=1, anti_aliasing=True))


def _grey(values: Any) -> Grey:
    return np.asarray(np.clip(values, 0, 1), dtype=np.float32)


VARIANTS = (
    *(Variant("rotation", f"{degrees}°", partial(turn, degrees)) for degrees in (20, -20, 90, 180, 270)),
    Variant("flip", "left to right", partial(flip, 1)),
    Variant("flip", "top to bottom", partial(flip, 0)),
    Variant("brightness", "half", partial(brightness, 0.5)),
    Variant("brightness", "half as much again", partial(brightness, 1.5)),
    Variant("contrast", "half", partial(contrast, 0.5)),
    Variant("contrast", "half as much again", partial(contrast, 1.5)),
    Variant("inversion", "bone dark", invert),
    Variant("marker", "L, top left", partial(mark, "L", 0.09, 0.08, 0.08)),
    Variant("marker", "R, bottom right", partial(mark, "R", 0.91, 0.92, 0.08)),
    Variant("marker", "L, on the forearm", partial(mark, "L", 0.5, 0.92, 0.08)),
    Variant("resolution", "1/2", partial(reduce, 1 / 2)),
    Variant("resolution", "1/4", partial(reduce, 1 / 4)),
)

Answers = Mapping[str, list[Answer]]
"""The model's readings of each image, by ``key`` of the variant."""


def key(variant: Variant) -> str:
    """Name of a variant with its transformation."""
    return f"{variant.transformation}, {variant.name}"


def read_variants(
    predictor: Predictor, readings: list[Reading], progress: Callable[[int], None]
) -> dict[str, list[Answer]]:
    """Read every variant of the images; ``progress(done)`` counts images."""

    def read(reading: Reading) -> list[Answer]:
        image = read_image(reading.example.path)
        return predictor.assess([Hand(variant.apply(image), reading.example.sex) for variant in VARIANTS])

    read_by_image = each(read, readings, progress)
    return {
        key(variant): [answers[number] for answers in read_by_image]
        for number, variant in enumerate(VARIANTS)
    }


def stress_table(readings: list[Reading], answers: Answers) -> list[dict[str, Any]]:
    """Give a row for each variant.

    ``mae_months`` and its change are over the images that are read both as they are and transformed,
    ``large_changes`` is the share of them whose reading moves by more than 12 months, and ``newly_refused``
    counts images that are refused only when transformed.
    """
    return [row(v.transformation, v.name, readings, answers[key(v)]) for v in VARIANTS]


def row(transformation: str, variant: str, readings: list[Reading], answers: list[Answer]) -> dict[str, Any]:
    """A row of ``stress_table``."""
    pairs = list(zip(readings, answers, strict=True))
    return {
        "transformation": transformation,
        "variant": variant,
        "images": len(answers),
        "refusals": refusals(answers),
        "newly_refused": sum(bool(r.assessment) and isinstance(a, Refusal) for r, a in pairs),
    } | _changes(pairs)


def _changes(pairs: list[tuple[Reading, Answer]]) -> dict[str, float | None]:
    both = [
        (reading.example.bone_age_months, reading.assessment.bone_age_months, answer.bone_age_months)
        for reading, answer in pairs
        if reading.assessment and isinstance(answer, Assessment)
    ]
    if not both:
        names = ("mae_months", "mae_change_months", "large_changes")
        return {"read_both_ways": 0} | dict.fromkeys(names)
    label, before, after = np.array(both).T
    mae_before, mae_after = np.abs(before - label).mean(), np.abs(after - label).mean()
    return {
        "read_both_ways": len(both),
        "mae_months": rounded(mae_after),
        "mae_change_months": rounded(mae_after - mae_before),
        "large_changes": rounded((np.abs(after - before) > LARGE_CHANGE_MONTHS).mean(), 4),
    }
