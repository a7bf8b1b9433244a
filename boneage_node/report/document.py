"""The header that every DICOM object of ours has, and how they are written."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_data_element, write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from boneage_node.about import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

from .identity import Kind, Series
from .report import Report
from .source import copy_patient_and_study

_SPECIFIC_CHARACTER_SET = Tag("SpecificCharacterSet")


def new_document(
    report: Report, kind: Kind, modality: str, sop_class_uid: str, sop_instance_uid: str
) -> Dataset:
    """Make the header that all our objects have: patient, study, series, equipment, times and file meta.

    Args:
        report: The report; patient and study are taken from its source byte for byte.
        kind: Chooses the series.
        modality: Modality of the series.
        sop_class_uid: SOP class of the object.
        sop_instance_uid: SOPInstanceUID of the object.
    """
    image, device = report.image, report.device
    document = Dataset()
    copy_patient_and_study(report.source, document)
    document.SOPClassUID = sop_class_uid
    document.SOPInstanceUID = sop_instance_uid
    document.Modality = modality
    series = Series(image.study_instance_uid, kind, report.number)
    document.SeriesInstanceUID = series.uid
    document.SeriesNumber = series.number
    document.SeriesDescription = series.description
    document.Manufacturer = device.manufacturer
    document.ManufacturerModelName = device.model_name
    document.SoftwareVersions = device.software_version
    document.StationName = device.name[:16]
    document.InstanceNumber = report.number
    _set_times(document, report.in_zone_of_image(report.created_at))

    document.preamble = b"\0" * 128
    document.file_meta = FileMetaDataset()
    document.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    document.file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    document.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return document


def to_bytes(document: Dataset) -> bytes:
    """A document as a DICOM file (PS3.10), Explicit VR Little Endian.

    What came from the image is still encoded, in whatever character set the image names, known or not; our
    own text is ASCII, which is the same in all of them. So pydicom is not told of the character set: it would
    decode and encode everything by it.
    """
    buffer = BytesIO()
    file = DicomIO(buffer)
    file.is_little_endian, file.is_implicit_VR = True, False
    file.write(document.preamble + b"DICM")
    write_file_meta_info(file, document.file_meta)
    body = Dataset()
    for tag in document.keys():  # noqa: SIM118 - iterating over a Dataset decodes it
        element = document.get_item(tag)
        if element.tag == _SPECIFIC_CHARACTER_SET:
            write_data_element(file, element)  # has the lowest tag of all
        else:
            body[tag] = element
    body.set_original_encoding(False, True, default_encoding)
    write_dataset(file, body)
    return buffer.getvalue()


def _set_times(document: Dataset, at: datetime) -> None:
    """The one time of a document: made, content and series."""
    date, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    document.InstanceCreationDate = document.ContentDate = document.SeriesDate = date
    document.InstanceCreationTime = document.ContentTime = document.SeriesTime = time
