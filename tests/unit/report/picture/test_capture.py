"""The picture as DICOM."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.datadict import keyword_for_tag
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, JPEG2000Lossless
from support.report import (
    ASSESSMENT,
    BROKEN,
    CREATED_AT,
    NOTHING_KNOWN,
    REFUSAL,
    RIGHT_HAND,
    SOUND,
    radiograph,
    report_of,
)

from boneage_node.report import Kind, Predecessor, to_bytes
from boneage_node.report.picture.capture import secondary_capture
from boneage_node.traffic.pixel_data import uncompressed

EARLIER = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.ASSESSMENT, 1, CREATED_AT, 98.4)
PIXELS = np.random.default_rng(1).integers(0, 256, (67, 65, 3), dtype=np.uint8)


def capture_of(source, answer=ASSESSMENT, **arguments):
    capture = secondary_capture(report_of(source, answer, **arguments), Image.fromarray(PIXELS))
    return pydicom.dcmread(BytesIO(to_bytes(capture)))


@pytest.mark.parametrize("name", SOUND)
def test_it_is_filed_with_the_image_and_shows_the_picture(name):
    source = radiograph(**SOUND[name])
    capture = capture_of(source)
    assert capture.StudyInstanceUID == source.StudyInstanceUID
    assert capture.PatientID == source.get("PatientID", "")
    assert (capture.pixel_array == PIXELS).all()
    assert capture.ConversionType == "WSD"
    assert capture.file_meta.TransferSyntaxUID == JPEG2000Lossless
    (referenced,) = capture.SourceImageSequence
    assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_the_same_report_has_the_same_picture_and_another_one_a_series_that_says_what_it_replaces():
    first, again = capture_of(radiograph()), capture_of(radiograph())
    other = capture_of(radiograph(), sop_instance_uid="2.25.2", predecessor=EARLIER)
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == again.SeriesInstanceUID != other.SeriesInstanceUID
    assert (first.SeriesNumber, other.SeriesNumber) == (9003, 9013)
    assert first.SeriesDescription == "Bone age picture (AI)"
    assert other.SeriesDescription == "Bone age picture 2 (AI), replaces 1"
    assert other.InstanceNumber == 2


@pytest.mark.parametrize("value", ["YES", "NO", None])
def test_whether_a_name_is_in_the_pixels_is_as_the_radiograph_says(value):
    assert capture_of(radiograph(BurnedInAnnotation=value)).get("BurnedInAnnotation") == value


def test_a_lossy_compression_is_passed_on():
    assert capture_of(radiograph(LossyImageCompression="01")).LossyImageCompression == "01"


def test_the_side_is_said_where_it_is_known():
    refused, unknown = capture_of(radiograph(), REFUSAL), capture_of(radiograph(), NOTHING_KNOWN)
    assert refused.Laterality == unknown.Laterality == ""
    assert unknown.BodyPartExamined == "HAND"
    assert "BodyPartExamined" not in refused
    right = capture_of(radiograph(), RIGHT_HAND)
    assert (right.BodyPartExamined, right.Laterality) == ("HAND", "R")


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("name", [*SOUND, *BROKEN])
def test_decompressed_it_is_the_same_instance_with_the_same_pixels_and_patient(name):
    file = to_bytes(
        secondary_capture(report_of(radiograph(**{**SOUND, **BROKEN}[name])), Image.fromarray(PIXELS))
    )
    written = BytesIO()
    uncompressed(BytesIO(file)).save_as(written)
    plain, compressed = (pydicom.dcmread(BytesIO(data)) for data in (written.getvalue(), file))
    assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert plain.PhotometricInterpretation == "RGB"
    assert plain.PixelData.rstrip(b"\0") == PIXELS.tobytes().rstrip(b"\0")
    of_pixels = {"PixelData", "PhotometricInterpretation"}
    rest = [tag for tag in compressed.keys() if keyword_for_tag(tag) not in of_pixels]  # noqa: SIM118
    assert [plain.get_item(tag).value for tag in rest] == [compressed.get_item(tag).value for tag in rest]


def test_a_radiograph_in_grey_takes_less_than_a_fifth():
    grey = np.random.default_rng(1).integers(0, 16, (400, 400, 1), dtype=np.uint8).repeat(3, axis=2)
    capture = secondary_capture(report_of(radiograph()), Image.fromarray(grey))
    assert len(capture.PixelData) < grey.size / 5
