"""The picture as DICOM."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ComprehensiveSRStorage
from support.report import ASSESSMENT, NOTHING_KNOWN, REFUSAL, RIGHT_HAND, SOUND, radiograph, report_of

from boneage_node.report import Kind, Predecessor, to_bytes
from boneage_node.report.picture.capture import secondary_capture

EARLIER = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.ASSESSMENT, 1)
PIXELS = np.arange(3 * 7 * 5, dtype=np.uint8).reshape(7, 5, 3)


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
    (referenced,) = capture.SourceImageSequence
    assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_the_same_report_has_the_same_picture_and_a_series_of_pictures():
    first, again = capture_of(radiograph()), capture_of(radiograph())
    other = capture_of(radiograph(), sop_instance_uid="2.25.2", predecessor=EARLIER)
    assert first.SOPInstanceUID == again.SOPInstanceUID != other.SOPInstanceUID
    assert first.SeriesInstanceUID == other.SeriesInstanceUID
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
