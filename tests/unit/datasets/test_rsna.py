"""Which radiographs are in which split, and what tells two data sets apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boneage_node.bone_age import Sex
from boneage_node.datasets.annotations import KeyPoints, Outline, data_digest, read_key_points
from boneage_node.datasets.held_out import held_out_digest
from boneage_node.datasets.rsna import DataError, Example, is_high_resolution, read_examples


def some(splits: str) -> list[Example]:
    """Radiographs 0, 1, 2, … in the splits of these initials."""
    names = {"t": "train", "c": "calibration", "v": "validation"}
    return [
        Example(str(number), Path(f"{number}.png"), 100.0, Sex.MALE, names[split], None)
        for number, split in enumerate(splits)
    ]


def download(folder: Path, count: int, columns: str = "id,boneage,male", more: str = "") -> Path:
    """A table of girls, and files in the place of images."""
    images = folder / "boneage-training-dataset"
    images.mkdir(parents=True)
    rows = [columns] + [f"{number},100,False{more}" for number in range(count)]
    (folder / "boneage-training-dataset.csv").write_text("\n".join(rows) + "\n")
    for number in range(count):
        (images / f"{number}.png").touch()
    return folder


def test_eight_percent_are_validated_on_and_six_of_the_rest_calibrated_on(tmp_path: Path) -> None:
    examples = read_examples(download(tmp_path, 2000))
    count = {split: sum(e.split == split for e in examples) for split in ("validation", "calibration")}
    assert 120 < count["validation"] < 200
    assert 80 < count["calibration"] < 140


def test_a_calibration_split_is_taken_from_training_where_none_is_named(tmp_path: Path) -> None:
    download(tmp_path, 200)
    names = ["validation"] * 100 + ["train"] * 100
    rows = "".join(f"{number},{name}\n" for number, name in enumerate(names))
    (tmp_path / "splits.csv").write_text("id,split\n" + rows)
    splits = [example.split for example in read_examples(tmp_path)]
    assert splits[:100] == names[:100]
    assert set(splits[100:]) == {"train", "calibration"}


def test_images_in_a_folder_of_the_same_name_are_found(tmp_path: Path) -> None:
    images = download(tmp_path, 1) / "boneage-training-dataset"
    (images / images.name).mkdir()
    (images / "0.png").rename(images / images.name / "0.png")
    (example,) = read_examples(tmp_path)
    assert example.path == images / images.name / "0.png"


@pytest.mark.parametrize("rows", ["id,split\n0,valid\n", "id,set\n0,train\n", "0,train\n1,train\n"])
def test_a_split_file_that_is_not_one_is_said(tmp_path: Path, rows: str) -> None:
    download(tmp_path, 2)
    (tmp_path / "splits.csv").write_text(rows)
    with pytest.raises(DataError, match=r"line 2.*validation"):
        read_examples(tmp_path)


def test_annotations_are_in_pixels_of_the_original_where_the_table_tells_its_size(tmp_path: Path) -> None:
    download(tmp_path, 1, "id,boneage,male,native_width,native_height", ",100,200")
    Image.new("L", (50, 100)).save(tmp_path / "boneage-training-dataset" / "0.png")
    header = "id,source,middle_tip_x,middle_tip_y,thumb_tip_x,thumb_tip_y,capitate_x,capitate_y\n"
    (tmp_path / "keypoints.csv").write_text(header + "0,manual,50,20,80,100,50,150\n")
    (marked,) = read_key_points(tmp_path / "keypoints.csv", read_examples(tmp_path))
    assert marked.points == pytest.approx(np.array([[0.5, 0.1], [0.8, 0.5], [0.5, 0.75]]))


def test_an_outline_is_drawn_at_the_size_of_the_image() -> None:
    corners = np.array([[20, 40], [60, 40], [60, 160], [20, 160]], dtype=np.float32)
    mask = Outline("0", (corners,), (100, 200)).mask(100, 50)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max() + 1) == pytest.approx((20, 80), abs=1)
    assert (columns.min(), columns.max() + 1) == pytest.approx((10, 30), abs=1)


def test_the_digest_of_what_is_held_out_tells_which_radiographs_and_for_what() -> None:
    examples = some("tttccvv")
    known = held_out_digest(examples)

    assert held_out_digest(examples[::-1]) == known
    assert held_out_digest(examples[1:]) == known
    assert held_out_digest(replace(example, bone_age_months=9) for example in examples) == known
    for others in ("tttcvvv", "tttvvcc", "ttcccvv", "tttccvt"):
        assert held_out_digest(some(others)) != known


def test_the_digest_of_data_tells_all_that_training_takes_from_it(tmp_path: Path) -> None:
    examples = [replace(e, path=tmp_path / e.path) for e in some("ttcv")]
    for example in examples:
        example.path.write_bytes(b"pixels")
    corners = np.array([[1, 1], [8, 1], [4, 9]], dtype=np.float32)
    outline = Outline("0", (corners,), (10, 10))
    marked = KeyPoints(examples[1], corners / 10, manual=True)
    digests = [data_digest(examples, [outline], [marked])]

    first, *rest = examples
    for other in (
        replace(first, id="9"),
        replace(first, split="validation"),
        replace(first, bone_age_months=101.0),
        replace(first, sex=Sex.FEMALE),
        replace(first, native_size_px=(20, 20)),
    ):
        digests.append(data_digest([other, *rest], [outline], [marked]))
    digests.append(data_digest([*rest, first], [outline], [marked]))
    digests.append(data_digest(examples, [replace(outline, polygons=(corners + 1,))], [marked]))
    digests.append(data_digest(examples, [outline], [replace(marked, manual=False)]))
    digests.append(data_digest(examples, [outline], [replace(marked, points=corners / 11)]))
    first.path.write_bytes(b"more pixels")
    digests.append(data_digest(examples, [outline], [marked]))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("height_px", "width_px", "high"),
    [
        (512, 379, True),
        (400, 300, True),
        (379, 512, True),
        (512, 245, True),  # a narrow one
        (404, 299, False),  # squeezed to a square of 299, and put back to its aspect ratio
        (299, 607, False),
        (203, 100, False),
        (2044, 1514, True),
    ],
)
def test_an_image_that_was_squeezed_is_not_of_high_resolution(
    height_px: int, width_px: int, high: bool
) -> None:
    assert is_high_resolution(np.zeros((height_px, width_px), dtype=np.float32)) is high
