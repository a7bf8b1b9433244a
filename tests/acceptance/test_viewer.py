"""What a radiologist sees of the node: each sample study in OHIF, on a PACS that the node has reported to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread
from support.acceptance import Pacs
from support.ohif_peer import Frame, Graphics, Viewer
from support.report import read_outline

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.phantom.samples import SAMPLES

pytestmark = pytest.mark.slow

HANDS = [sample.file_name for sample in SAMPLES if sample.sex_known and not sample.chest]
REFUSED = [sample.file_name for sample in SAMPLES if sample.file_name not in HANDS]


def test_the_study_list_has_every_study_with_its_report(sample_dicom: Path, pacs: Pacs, ohif: Viewer) -> None:
    rows = ohif.study_list()
    ohif.screenshot("study-list")
    assert len(rows) == len(SAMPLES)
    for sample in SAMPLES:
        image = header(sample_dicom / sample.file_name)
        assert str(image.PatientID) in rows[image.StudyInstanceUID]
        assert "SR" in rows[image.StudyInstanceUID]
    assert ohif.messages() == []
    assert ohif.problems == []


@pytest.mark.parametrize("file_name", HANDS)
def test_the_viewer_shows_bone_age_and_outline(
    file_name: str, sample_dicom: Path, pacs: Pacs, ohif: Viewer
) -> None:
    image = header(sample_dicom / file_name)
    ohif.open_study(image.StudyInstanceUID)
    ohif.open_series("Bone age (AI)")
    graphics = ohif.graphics()
    pixels = ohif.screenshot(file_name.removesuffix(".dcm"))

    assert shown_months(graphics) == pytest.approx(
        pacs.results[image.StudyInstanceUID]["bone_age_months"], abs=0.051
    )
    assert_legible(graphics)
    outline = in_window(read_outline(pacs.made_of(image.StudyInstanceUID, "SR")), image, graphics.viewport)
    np.testing.assert_allclose(graphics.points[:-1], outline, atol=2)
    assert green_part(pixels, graphics) > 0.3  # it is dashed
    inside, around = brightness(pixels, graphics)
    assert inside > around + 20  # bone and flesh are brighter than air, MONOCHROME1 too
    assert_picture_is_shown(pacs, ohif, image)
    assert ohif.messages() == []
    assert ohif.problems == []


@pytest.mark.parametrize("file_name", REFUSED)
def test_the_viewer_says_why_a_study_was_refused(
    file_name: str, sample_dicom: Path, pacs: Pacs, ohif: Viewer
) -> None:
    image = header(sample_dicom / file_name)
    ohif.open_study(image.StudyInstanceUID)
    ohif.open_series("Bone age (AI)")
    text = ohif.text("No bone age was read.")
    ohif.screenshot(file_name.removesuffix(".dcm"))
    assert Refusal(ReasonCode(pacs.results[image.StudyInstanceUID]["reason"])).sentence in text
    assert "For research use only." in text
    assert_picture_is_shown(pacs, ohif, image)
    assert ohif.messages() == []
    assert ohif.problems == []


def header(file: Path) -> Dataset:
    return dcmread(file, stop_before_pixels=True)


def shown_months(graphics: Graphics) -> float:
    """The bone age that is written beside the outline, in months."""
    (line,) = [line for line in graphics.lines if line.startswith("XR Bone age: ")]
    number, unit = line.removeprefix("XR Bone age: ").split()
    assert unit == "mo"
    return float(number)


def assert_legible(graphics: Graphics) -> None:
    """The bone age lies within the viewport; no other line begins outside."""
    frame_left, frame_top, frame_right, frame_bottom = graphics.viewport
    for line, (left, top, right, bottom) in graphics.lines.items():
        assert frame_left <= left < frame_right, line
        assert frame_top <= top < bottom <= frame_bottom, line
        assert right <= frame_right or not line.startswith("XR Bone age"), line


def assert_picture_is_shown(pacs: Pacs, ohif: Viewer, image: Dataset) -> None:
    """The picture beside the report looks in the viewer as the node has drawn it."""
    capture = pacs.made_of(image.StudyInstanceUID, "OT")
    ohif.open_series("Bone age picture (AI)")
    frame = ohif.image(capture.SOPInstanceUID)
    name = str(image.filename).rpartition("/")[2].removesuffix(".dcm")
    window = ohif.screenshot(f"{name}-picture")
    picture = Image.fromarray(capture.pixel_array)
    corners = in_window(np.array([[-0.5, -0.5], [picture.width - 0.5, picture.height - 0.5]]), capture, frame)
    (left, top), (right, bottom) = corners.round().astype(int)
    expected = np.asarray(
        picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR), dtype=float
    )
    assert expected.std() > 20
    assert abs(window[top:bottom, left:right] - expected).mean() < 5


def in_window(points_px: npt.NDArray[np.floating], image: Dataset, frame: Frame) -> npt.NDArray[np.float64]:
    """Pixels of an image as pixels of the window: the viewer shows the image as large as fits."""
    left, top, right, bottom = frame
    size = np.array([image.Columns, image.Rows])
    room = np.array([right - left, bottom - top])
    scale = (room / size).min()
    return np.asarray((points_px + 0.5 - size / 2) * scale + room / 2 + (left, top), dtype=np.float64)


def drawn(shape: tuple[int, ...], graphics: Graphics, *, filled: bool) -> npt.NDArray[np.bool_]:
    """The pixels of the window at the outline, or within it."""
    mask = Image.new("1", (shape[1], shape[0]))
    points = [tuple(point) for point in graphics.points]
    if filled:
        ImageDraw.Draw(mask).polygon(points, fill=1)
    else:
        ImageDraw.Draw(mask).line(points, fill=1, width=3)
    return np.asarray(mask)


def green_part(pixels: npt.NDArray[np.uint8], graphics: Graphics) -> float:
    """How much of the outline's length is green."""
    red, green, blue = pixels[drawn(pixels.shape, graphics, filled=False)].astype(int).T
    length_px = np.linalg.norm(np.diff(graphics.points, axis=0), axis=1).sum()
    return float(((green > 150) & (red < 100) & (blue < 100)).sum() / length_px)


def brightness(pixels: npt.NDArray[np.uint8], graphics: Graphics) -> tuple[float, float]:
    """Mean grey (0 to 255) within the outline, and around it as far as the outline reaches."""
    within = drawn(pixels.shape, graphics, filled=True)
    left, top = np.maximum(graphics.points.min(axis=0).astype(int), 0)
    right, bottom = graphics.points.max(axis=0).astype(int)
    grey = pixels.mean(axis=2)[top:bottom, left:right]
    within = within[top:bottom, left:right]
    return float(grey[within].mean()), float(grey[~within].mean())
