"""``boneage-node assess`` on pictures, folders, and what cannot be read."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command_line import run

from boneage_node.bone_age import Sex
from boneage_node.phantom import draw_hand


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn hand as a PNG, alone in its folder."""
    file = tmp_path_factory.mktemp("pictures") / "hand.png"
    pixels = draw_hand(100, Sex.FEMALE, seed=3, height_px=512).pixels
    Image.fromarray((255 * pixels).astype(np.uint8)).save(file)
    return file


def test_a_picture_is_read_as_the_patient_that_is_told(picture: Path) -> None:
    done = run("assess", picture.parent, "--sex", "F", "--age-months", 99, "--json")
    assert done.returncode == 0, done.stderr
    (result,) = map(json.loads, done.stdout.splitlines())
    assert (result["status"], result["sex"], result["chronological_age_months"]) == ("assessed", "F", 99)
    assert result["z_score"] is not None
    assert result["sop_instance_uid"] is None
    as_fhir = json.loads(run("assess", picture, "--sex", "F", "--fhir").stdout)
    assert as_fhir["resourceType"] == "OperationOutcome"
    assert "names no study" in as_fhir["issue"][0]["diagnostics"]


def test_the_sex_of_a_picture_is_not_guessed(picture: Path, sample_dicom: Path) -> None:
    folder = run("assess", picture.parent)
    assert folder.returncode == 2
    assert "1 PNG, JPEG or TIFF: tell their --sex" in " ".join(folder.stderr.split())
    named = json.loads(run("assess", picture, "--json").stdout)
    assert (named["status"], named["reason"]) == ("refused", "sex-unknown")
    both = json.loads(run("assess", picture.parent, "--json", "--sex-unknown", "both").stdout)
    assert set(both["bone_age_months_by_sex"]) == {"F", "M"}
    for_dicom = run("assess", sample_dicom / "girl-08y-dx.dcm", "--sex", "M")
    assert for_dicom.returncode == 2
    assert "says both in its header" in " ".join(for_dicom.stderr.split())


def test_what_cannot_be_read_ends_no_run_and_a_row_is_there_once_it_is_read(
    picture: Path, sample_dicom: Path, tmp_path: Path
) -> None:
    for name in ("girl-08y-dx.dcm", "chest-07y-dx.dcm"):
        shutil.copy(sample_dicom / name, tmp_path)
    shutil.copy(picture, tmp_path / "z.png")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "notes.txt").write_text("nothing")
    unreadable = "/proc/self/mem"  # opens, and is an input/output error to whoever reads it
    table = tmp_path / "ages.csv"
    done = run("assess", unreadable, tmp_path, "--csv", table, "--sex", "F")
    assert done.returncode == 1
    assert f"2 assessed, 1 refused, 1 failed: {table}" in done.stdout.replace("\n", "")
    with table.open(newline="", encoding="utf-8") as opened:
        failed, chest, girl, png = csv.DictReader(opened)
    assert (failed["file"], failed["status"], failed["reason"]) == (unreadable, "failed", "OSError")
    assert (chest["reason"], chest["bone_age_months"]) == ("not-a-hand", "")
    assert girl["file"] == str(tmp_path / "girl-08y-dx.dcm")
    assert float(girl["interval_low_months"]) < float(girl["bone_age_months"])
    assert girl["bone_age_months_f"] == girl["bone_age_months"]
    assert girl["bone_age_months_m"] == ""
    assert png["status"] == "assessed"


def test_a_table_that_cannot_be_written_is_said_before_anything_is_read(picture: Path) -> None:
    done = run("assess", picture, "--sex", "F", "--csv", picture / "ages.csv")
    assert done.returncode == 2
    assert "cannot be written: Not a directory" in " ".join(done.stderr.split())
