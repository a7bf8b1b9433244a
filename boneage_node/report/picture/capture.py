"""A picture as DICOM: a Secondary Capture in the study of the image it was made of (PS3.3 A.8.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage

from boneage_node.bone_age import Assessment, Attention, Refusal
from boneage_node.report.document import new_document
from boneage_node.report.identity import Kind, derive_uid
from boneage_node.report.report import Report
from boneage_node.report.source import PICTURED, SourceImage, copy_texts

from .page import draw_picture, draw_refusal_picture


def picture(
    report: Report, pixels: npt.NDArray[np.float32] | None, attention: Attention | None = None
) -> Dataset:
    """The picture of a report as a DICOM image.

    Args:
        report: The report.
        pixels: The image as ``Radiograph.pixels``; None where it was refused before it was decoded.
        attention: Where the networks looked, where that was asked for.
    """
    if isinstance(report.answer, Refusal):
        drawn = draw_refusal_picture(
            pixels, report.answer, report.device, exam_date=report.exam_date, replaces=report.replaces
        )
    else:
        assert pixels is not None, "what was assessed was decoded"
        drawn = draw_picture(
            pixels,
            report.answer,
            report.course,
            report.device,
            attention,
            exam_date=report.exam_date,
            replaces=report.replaces,
        )
    return secondary_capture(report, drawn)


def secondary_capture(report: Report, drawn: Image.Image) -> Dataset:
    """A picture as a DICOM image: colour, JPEG 2000 without loss.

    Most of a picture is a grey radiograph, of which JPEG 2000's colour transform leaves one component in
    three: a tenth of the size, where RLE and JPEG-LS leave nearly a half and an eighth. Whoever sends it
    decompresses it for a peer that takes no JPEG 2000 (``traffic.pixel_data``).

    Raises:
        ValueError: The source has no StudyInstanceUID.
    """
    image = report.image
    assessment = report.answer if isinstance(report.answer, Assessment) else None
    # What is invalid in the image must not keep it from having a picture.
    with disable_value_validation():
        uid = derive_uid("picture", report.sop_instance_uid)
        capture = new_document(report, Kind.PICTURE, "OT", SecondaryCaptureImageStorage, uid)
        capture.ConversionType = "WSD"
        capture.ImageType = ["DERIVED", "SECONDARY"]
        if assessment:  # what was refused may show anything
            capture.BodyPartExamined = "HAND"
        capture.Laterality = str(assessment.laterality) if assessment and assessment.laterality else None
        capture.PatientOrientation = None
        copy_texts(report.source, capture, PICTURED)
        capture.DerivationDescription = "Picture of the bone age that software read"
        if image.can_be_referenced and image.is_image:
            capture.SourceImageSequence = [_source_item(image)]
        _set_pixels(capture, drawn)
    return capture


def _source_item(image: SourceImage) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.sop_class_uid
    item.ReferencedSOPInstanceUID = image.sop_instance_uid
    return item


def _set_pixels(capture: Dataset, drawn: Image.Image) -> None:
    """Image Pixel module for 8-bit colour, compressed (PS3.3 C.7.6.3, PS3.5 A.4.4)."""
    pixels = np.asarray(drawn.convert("RGB"), dtype=np.uint8)
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "YBR_RCT"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = pixels.shape[:2]
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    capture.compress(JPEG2000Lossless, pixels, encoding_plugin="pylibjpeg", generate_instance_uid=False)
