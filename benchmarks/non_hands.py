"""Share of images that are not one whole hand and are refused by their pixels alone.

Real chest and ankle radiographs (pydicom-data), the shoulders on the chest's, flat and noisy pictures, and
pieces of the held-out hands of the RSNA data at high resolution. Drawn legs, feet, skulls and chests are read
by boneage-node evaluate --phantoms.

    python benchmarks/non_hands.py RSNA [MODEL]
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from rich.progress import track

from boneage_node.bone_age import Hand, Refusal, Sex, model_zoo
from boneage_node.bone_age.framing import Grey
from boneage_node.bone_age.predictor import Predictor
from boneage_node.datasets.rsna import is_high_resolution, read_examples, read_image
from boneage_node.radiograph.grey import to_grey
from boneage_node.radiograph.pixels import decode_pixels

RADIOGRAPHS = {"real chest": "RG1_UNCR.dcm", "real ankle": "RG3_UNCR.dcm"}


def real_pictures() -> Iterator[tuple[str, Grey]]:
    """Radiographs of other parts of the body."""
    for kind, name in RADIOGRAPHS.items():
        file = get_testdata_file(name)
        assert isinstance(file, str), name
        dataset = dcmread(file)
        pixels = to_grey(decode_pixels(dataset), dataset)
        yield kind, pixels
        if kind == "real chest":
            height, width = pixels.shape
            yield "real shoulder", pixels[: height // 2, : width // 3]
            yield "real shoulder", pixels[: height // 2, -width // 3 :]


def pictures() -> Iterator[tuple[str, Grey]]:
    """Images that never were a hand, by kind; the real ones also turned by quarters."""
    for kind, pixels in real_pictures():
        for turn in range(4):
            yield kind, np.ascontiguousarray(np.rot90(pixels, turn))
    random = np.random.default_rng(0)
    for level in np.linspace(0, 1, 11, dtype=np.float32):
        yield "one grey", np.full((512, 400), level, dtype=np.float32)
        yield "noise", random.random((512, 400), dtype=np.float32) * level
    y, x = np.mgrid[0:512, 0:400].astype(np.float32)
    for radius in range(40, 200, 16):
        yield "disc", (np.hypot(x - 200, y - 256) < radius).astype(np.float32) * 0.7
        yield "gradient", np.clip((x * np.cos(radius) + y * np.sin(radius)) / 512, 0, 1)


def pieces(image: Grey) -> Iterator[tuple[str, Grey]]:
    """Parts of a hand's radiograph, and two hands in one."""
    height, width = image.shape
    yield "upper half of a hand", image[: height // 2]
    yield "lower half of a hand", image[height // 2 :]
    yield "left half of a hand", image[:, : width // 2]
    yield "right half of a hand", image[:, width // 2 :]
    yield "two hands", np.concatenate([image[:, ::-1], image], axis=1)


def main(data: Path, model: str | None = None) -> None:
    """Read all and print, by kind, how many were refused and why."""
    predictor = Predictor.load(model_zoo.model_dir(model), "auto")
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    images = [read_image(example.path) for example in read_examples(data) if example.split == "validation"]
    sharp = [image for image in images if is_high_resolution(image)]
    shown = [*pictures(), *(piece for image in sharp[:100] for piece in pieces(image))]
    for kind, pixels in track(shown, "reading"):
        (answer,) = predictor.assess([Hand(np.ascontiguousarray(pixels, dtype=np.float32), Sex.FEMALE)])
        reasons[kind][str(answer.code) if isinstance(answer, Refusal) else "read"] += 1
    for kind, counts in reasons.items():
        total = counts.total()
        print(f"{kind}: {total - counts['read']} of {total} refused; {dict(counts)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
