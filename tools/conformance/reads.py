"""Attributes that the node looks for in the header of an image."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_description, keyword_for_tag

from boneage_node.radiograph import read_header, read_visit

from .markdown import table

_PURPOSES = {
    "sex": ("PatientSex",),
    "age": (
        "PatientBirthDate",
        "PatientAge",
        "StudyDate",
        "AcquisitionDate",
        "SeriesDate",
        "ContentDate",
    ),
    "side": (
        "ImageLaterality",
        "Laterality",
        "FrameLaterality",
        "AnatomicRegionSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    ),
    "whether it is a hand, seen from the front": (
        "BodyPartExamined",
        "AnatomicRegionSequence",
        "AcquisitionDeviceProcessingDescription",
        "ViewPosition",
        "ViewCodeSequence",
    ),
    "which of several images is read": (
        "Modality",
        "ImageType",
        "SeriesDescription",
        "ProtocolName",
        "PerformedProcedureStepDescription",
        "StudyDescription",
    ),
    "whether software made it": (
        "Modality",
        "ImageType",
        "ConversionType",
        "SourceImageSequence",
        "ManufacturerModelName",
    ),
    "whether images of a study contradict each other": (
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "PatientAge",
    ),
    "size of the pixels": (
        "PixelSpacing",
        "ImagerPixelSpacing",
        "NominalScannedPixelSpacing",
        "PixelAspectRatio",
        "Rows",
        "Columns",
    ),
    "earlier studies of the patient": ("PatientID", "IssuerOfPatientID"),
}


class _Recorder(Dataset):
    """An empty data set that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["asked"] = set()

    def get(self, key: Any, default: Any = None) -> Any:
        self.__dict__["asked"].add(_keyword(key))
        return super().get(key, default)

    def get_item(self, key: Any, *, keep_deferred: bool = False) -> Any:
        self.__dict__["asked"].add(_keyword(key))
        return super().get_item(key, keep_deferred=keep_deferred)


def _keyword(key: Any) -> str:
    return key if isinstance(key, str) else keyword_for_tag(key)


def reads_table() -> str:
    """The attributes that are looked for, and what for.

    Raises:
        ValueError: Other attributes are looked for than this module says.
    """
    recorder = _Recorder()
    read_header(recorder)
    read_visit(recorder)
    asked = {key for key in recorder.__dict__["asked"] if not key.endswith("InstanceUID")} - {"SOPClassUID"}
    told = {keyword for keywords in _PURPOSES.values() for keyword in keywords}
    if asked != told:
        raise ValueError(f"{__name__} does not tell what is read: {', '.join(sorted(asked ^ told))}")
    rows = [(what, ", ".join(map(dictionary_description, keywords))) for what, keywords in _PURPOSES.items()]
    return table(("for", "attributes"), rows)
