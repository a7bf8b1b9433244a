"""A sample of labelled radiographs, for a first look at a model."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from boneage_node.datasets.rsna import Example, has_high_resolution, share_of


@dataclass(frozen=True)
class Sample:
    """Some radiographs of a split.

    Attributes:
        examples: The radiographs.
        of: How many the split has.
        seed: What they were drawn with: the same seed draws the same ones.
    """

    examples: list[Example]
    of: int
    seed: int

    def __str__(self) -> str:
        return (
            f"A sample of {len(self.examples):,} of the {self.of:,} images of the split, drawn by "
            f"resolution, sex and bone age (seed {self.seed}): a first look, not a measurement."
        )


def draw_sample(examples: list[Example], count: int, seed: int) -> Sample:
    """Draw radiographs so that resolution, sex and bone age are spread as in all of them.

    They are put in the order of these, and by chance where they are the same to the year; then every so many
    of them is taken (systematic sampling).

    Args:
        examples: All of a split.
        count: How many to draw; all, where there are no more.
        seed: Another number draws others.
    """
    ordered = sorted(
        examples,
        key=lambda one: (
            _is_sharp(one),
            one.sex,
            one.bone_age_months // 12,
            share_of(one.id, f"sample {seed}"),
        ),
    )
    count = min(count, len(ordered))
    step = len(ordered) / count if count else 0
    return Sample([ordered[int((number + 0.5) * step)] for number in range(count)], len(ordered), seed)


def _is_sharp(example: Example) -> bool:
    with Image.open(example.path) as image:  # its header alone is read
        return has_high_resolution(image.size)
