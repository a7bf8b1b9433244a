"""A picture as DICOM: a Secondary Capture in the study of the image it was made of (PS3.3 A.8.1)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import SecondaryCaptureImageStorage

from boneage_node.bone_age import Laterality
from boneage_node.report.document import new_document
from boneage_node.report.identity import DEFAULT_DEVICE, DeviceIdentity, Kind, derive_uid
from boneage_node.report.source import PICTURED, SourceImage, copy_texts


def secondary_capture(
    source: Dataset,
    picture: Image.Image,
    *,
    report_instance_uid: str,
    created_at: datetime,
    device: DeviceIdentity = DEFAULT_DEVICE,
    of_hand: bool = False,
    laterality: Laterality | None = None,
    number: int = 1,
) -> Dataset:
    """A picture of ours as a DICOM image.

    Args:
        source: Data set of the image that was read or refused, as ``pydicom.dcmread`` returned it.
        picture: RGB, from ``draw_picture`` or ``draw_refusal_picture``.
        report_instance_uid: SOPInstanceUID of the structured report that says the same.
        created_at: When the picture was made, with a time zone.
        device: The station that made it.
        of_hand: Whether it is known to show a hand; what was refused may show anything.
        laterality: Which hand it shows; None where that is not known.
        number: InstanceNumber.

    Returns:
        The image, RGB without compression: every viewer shows that. The same report makes the same UIDs.

    Raises:
        ValueError: The source has no StudyInstanceUID.
    """
    image = SourceImage.of(source)
    # What is invalid in the image must not keep it from having a picture.
    with disable_value_validation():
        capture = new_document(
            source,
            kind=Kind.PICTURE,
            modality="OT",
            sop_class_uid=SecondaryCaptureImageStorage,
            sop_instance_uid=derive_uid("picture", report_instance_uid),
            device=device,
            created_at=created_at,
            number=number,
        )
        capture.ConversionType = "WSD"
        capture.ImageType = ["DERIVED", "SECONDARY"]
        if of_hand:
            capture.BodyPartExamined = "HAND"
        capture.Laterality = str(laterality) if laterality else None
        capture.PatientOrientation = None
        copy_texts(source, capture, PICTURED)
        capture.DerivationDescription = "Picture of the bone age that software read"
        if image.can_be_referenced and image.is_image:
            capture.SourceImageSequence = [_source_item(image)]
        _set_pixels(capture, picture)
    return capture


def _source_item(image: SourceImage) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.sop_class_uid
    item.ReferencedSOPInstanceUID = image.sop_instance_uid
    return item


def _set_pixels(capture: Dataset, picture: Image.Image) -> None:
    """Image Pixel module for 8-bit RGB, colour by pixel (PS3.3 C.7.6.3)."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.uint8)
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = pixels.shape[:2]
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    data = pixels.tobytes()
    capture.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
