"""Reports of images with headers of every quality, judged by the validators that exist."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage
from support.report import (
    ASSESSMENT,
    BROKEN,
    COURSE,
    CREATED_AT,
    NOTHING_KNOWN,
    READ_AS_BOTH,
    REFUSAL,
    RIGHT_HAND,
    SOUND,
    radiograph,
    report_of,
)
from support.validators import said_by

from boneage_node.report import (
    Kind,
    Predecessor,
    picture,
    structured_report,
    to_bytes,
)

# Said of reports whose image lacks what a DICOMDIR would need, and of character sets the tool cannot check.
PREDECESSOR = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.ASSESSMENT, 1, CREATED_AT, 98.4)
TOLERATED = ("would be needed to build DICOMDIR", "SpecificCharacterSet", "Specific Character Set")


@pytest.fixture
def sr_file(tmp_path):
    def write(source, assessment=ASSESSMENT, **arguments):
        path = tmp_path / "sr.dcm"
        path.write_bytes(to_bytes(structured_report(report_of(source, assessment, **arguments))))
        return path

    return write


@pytest.fixture
def picture_file(tmp_path):
    def write(source, answer):
        capture = picture(report_of(source, answer), np.zeros((64, 64), np.float32))
        path = tmp_path / "picture.dcm"
        path.write_bytes(to_bytes(capture))
        return path

    return write


@pytest.fixture
def refusal_file(tmp_path):
    path = tmp_path / "refusal.dcm"

    def write(source):
        path.write_bytes(to_bytes(structured_report(report_of(source, REFUSAL))))
        return path

    return write


@pytest.mark.parametrize("name", SOUND)
def test_dciodvfy_finds_nothing_in_a_picture(name, require_peer, picture_file):
    dciodvfy = require_peer("dicom3tools")
    side_unknown = (*TOLERATED, "only permitted to be empty when")
    for answer, tolerated in (
        (REFUSAL, side_unknown),
        (NOTHING_KNOWN, side_unknown),
        (ASSESSMENT, TOLERATED),
    ):
        code, lines = said_by(dciodvfy, "-new", str(picture_file(radiograph(**SOUND[name]), answer)))
        assert code == 0
        assert [line for line in lines if not any(words in line for words in tolerated)] == ["SCImage"]


@pytest.mark.parametrize("name", SOUND)
def test_dciodvfy_finds_nothing(name, require_peer, sr_file, refusal_file):
    dciodvfy = require_peer("dicom3tools")
    source = radiograph(**SOUND[name])
    for path, iod in ((sr_file(source), "ComprehensiveSR"), (refusal_file(source), "BasicTextSR")):
        code, lines = said_by(dciodvfy, "-new", str(path))
        assert code == 0
        assert [line for line in lines if not any(words in line for words in TOLERATED)] == [iod]


def test_a_complete_image_gives_a_report_of_which_dciodvfy_says_only_the_name(require_peer, sr_file):
    dciodvfy = require_peer("dicom3tools")
    path = sr_file(radiograph(), course=COURSE, predecessor=PREDECESSOR)
    assert said_by(dciodvfy, "-new", str(path)) == (0, ["ComprehensiveSR"])
    for assessment in (ASSESSMENT, NOTHING_KNOWN, RIGHT_HAND, READ_AS_BOTH):
        assert said_by(dciodvfy, "-new", str(sr_file(radiograph(), assessment))) == (0, ["ComprehensiveSR"])
    path = sr_file(radiograph(), sop_class_uid=Comprehensive3DSRStorage)
    assert said_by(dciodvfy, "-new", str(path)) == (0, ["Comprehensive3DSR"])


# A reader of reports may well refuse references that are no UIDs; the report has them from the image.
@pytest.mark.parametrize("name", [name for name in (*SOUND, *BROKEN) if name != "uids that are none"])
def test_dsrdump_reads_every_report_of_a_readable_header(name, require_peer, sr_file, refusal_file):
    dsrdump = str(Path(require_peer("dcmtk")).parent / "dsrdump")
    source = radiograph(**{**SOUND, **BROKEN}[name])
    for path in (sr_file(source), refusal_file(source)):
        code, lines = said_by(dsrdump, str(path))
        assert code == 0, lines
        assert not [line for line in lines if line.startswith("E:")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "assessment"),
    [
        ("dx", ASSESSMENT),
        ("cr, type 2 missing", NOTHING_KNOWN),
        ("japanese", ASSESSMENT),
        ("cyrillic", ASSESSMENT),
        ("sex other", READ_AS_BOTH),
        ("monochrome1", ASSESSMENT),
        ("spacing and orientation empty", ASSESSMENT),
        ("cr, type 2 empty", NOTHING_KNOWN),
    ],
)
def test_pixelmed_finds_no_error(name, assessment, require_peer, sr_file):
    validator = require_peer("pixelmed")
    path = sr_file(radiograph(**SOUND[name]), assessment, course=COURSE, predecessor=PREDECESSOR)
    _, lines = said_by(validator, str(path))
    assert any("Found Root Template TID_1500" in line for line in lines)
    assert any("IOD validation complete" in line for line in lines)
    assert not [line for line in lines if "Error" in line or "Warning" in line]


@pytest.mark.slow
def test_pixelmed_finds_no_error_in_a_refusal(require_peer, refusal_file):
    _, lines = said_by(require_peer("pixelmed"), str(refusal_file(radiograph())))
    assert any("Found BasicTextSR IOD" in line for line in lines)
    assert any("IOD validation complete" in line for line in lines)
    assert not [line for line in lines if "Error" in line]
