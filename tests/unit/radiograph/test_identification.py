"""Whose study a file is of, for the screen of who asked."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread

from boneage_node.radiograph import Identification, read_identification
from boneage_node.traffic.file import LocalFile


def test_words_are_decoded_and_steer_no_terminal(tmp_path: Path, sample_dicom: Path) -> None:
    image = dcmread(sample_dicom / "girl-08y-dx.dcm")
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName = "Müller^Zoë\x1b[2J"
    image.PatientID, image.AccessionNumber = "7", ""
    image.save_as(tmp_path / "image.dcm")
    assert read_identification(LocalFile(tmp_path / "image.dcm")) == Identification(
        "7", "Müller^Zoë\N{REPLACEMENT CHARACTER}[2J", ""
    )


def test_what_cannot_be_read_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no DICOM")
    assert read_identification(LocalFile(tmp_path / "text")) is None
    assert read_identification(LocalFile(tmp_path / "gone")) is None
