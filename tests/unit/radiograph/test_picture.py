"""Pictures without a header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boneage_node.bone_age import ReasonCode, Refusal, Sex
from boneage_node.radiograph import read_picture
from boneage_node.traffic.file import LocalFile

RAMP = np.linspace(0, 1, 40 * 30).reshape(40, 30)


def save(file: Path, pixels: np.ndarray, **options: object) -> LocalFile:
    Image.fromarray(pixels).save(file, **options)
    return LocalFile(file)


def refusal(file: LocalFile, sex: Sex | None = Sex.MALE, age_months: float | None = 99) -> ReasonCode:
    with pytest.raises(Refusal) as caught:
        read_picture(file, sex, age_months)
    return caught.value.code


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_eight_bits_are_read_as_they_are_stored(name: str, tmp_path: Path) -> None:
    radiograph = read_picture(save(tmp_path / name, (255 * RAMP).astype(np.uint8)), Sex.FEMALE, 99.5)
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_allclose(radiograph.pixels, RAMP, atol=0.02 if name == "a.jpg" else 0.004)
    assert (radiograph.header.sex, radiograph.header.chronological_age_months) == (Sex.FEMALE, 99.5)
    assert (radiograph.header.rows, radiograph.header.columns) == (40, 30)
    assert radiograph.hand.laterality is None


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_read_as_they_are_stored(name: str, tmp_path: Path) -> None:
    radiograph = read_picture(save(tmp_path / name, (65535 * RAMP).astype(np.uint16)), Sex.MALE, None)
    np.testing.assert_allclose(radiograph.pixels, RAMP, atol=1e-4)


def test_grey_in_three_channels_is_grey_and_colour_is_not(tmp_path: Path) -> None:
    grey = np.repeat((255 * RAMP).astype(np.uint8)[:, :, None], 3, axis=2)
    radiograph = read_picture(save(tmp_path / "grey.png", grey), Sex.MALE, None)
    np.testing.assert_allclose(radiograph.pixels, RAMP, atol=0.005)
    grey[5, 5, 0] ^= 0x40
    assert refusal(save(tmp_path / "colour.png", grey)) is ReasonCode.UNSUPPORTED_PIXELS


def test_what_is_no_picture_of_one_grey_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = (255 * RAMP).astype(np.uint8)
    page = Image.fromarray(grey)
    pages = save(tmp_path / "pages.tif", grey, save_all=True, append_images=[page])
    assert refusal(pages) is ReasonCode.UNSUPPORTED_PIXELS
    assert refusal(save(tmp_path / "float.tif", RAMP.astype(np.float32))) is ReasonCode.UNSUPPORTED_PIXELS
    whole = save(tmp_path / "whole.png", np.random.default_rng(1).integers(0, 255, (99, 99), np.uint8))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.path.read_bytes()[:5000])
    assert refusal(LocalFile(cut)) is ReasonCode.DAMAGED_PIXELS
    cut.write_text("no picture")
    assert refusal(LocalFile(cut)) is ReasonCode.UNREADABLE_FILE
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99 * 98)
    assert refusal(whole) is ReasonCode.TOO_LARGE
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    assert refusal(whole) is ReasonCode.TOO_LARGE


def test_sex_is_not_guessed_and_adults_are_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", (255 * RAMP).astype(np.uint8))
    assert refusal(file, sex=None) is ReasonCode.SEX_UNKNOWN
    assert refusal(file, age_months=19 * 12) is ReasonCode.ADULT
    assert read_picture(file, None, None, sex_required=False).header.sex is None
