"""Phantoms as DICOM: Digital X-Ray Image (For Presentation) and Computed Radiography Image objects.

The modules follow PS3.3 A.2 (CR) and A.26 (DX); everything that identifies is plainly a phantom's and derives
from what was drawn, so that the same phantom is the same object wherever it is drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from boneage_node.bone_age import Laterality, Sex
from boneage_node.bone_age.course import DAYS_PER_MONTH

from .canvas import Array
from .chest import PhantomChest
from .hand import PhantomHand

_ENCODERS = {JPEG2000Lossless: "pylibjpeg", RLELossless: "pydicom"}


@dataclass(frozen=True)
class Patient:
    """Whom a phantom stands for.

    Attributes:
        name: PatientName, plainly a phantom's, e.g. ``PHANTOM^GIRL 08Y``.
        patient_id: PatientID.
        sex: PatientSex; None leaves it empty.
        age_months: Age at the study, or None for a header without birth date and age.
    """

    name: str
    patient_id: str
    sex: Sex | None
    age_months: float | None


@dataclass(frozen=True)
class Encoding:
    """Storage of the pixels.

    Attributes:
        modality: ``DX`` (For Presentation) or ``CR``.
        photometric: PhotometricInterpretation; MONOCHROME1 stores the picture's negative.
        bits_stored: 10 to 16, always in 16 bits allocated.
        transfer_syntax_uid: Explicit or Implicit VR Little Endian, RLE or JPEG 2000 Lossless.
    """

    modality: Literal["DX", "CR"] = "DX"
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    bits_stored: int = 12
    transfer_syntax_uid: UID = ExplicitVRLittleEndian

    def __post_init__(self) -> None:
        if not 10 <= self.bits_stored <= 16:
            raise ValueError(f"bits stored must be 10 to 16, not {self.bits_stored}")
        known = {ExplicitVRLittleEndian, ImplicitVRLittleEndian, *_ENCODERS}
        if self.transfer_syntax_uid not in known:
            raise ValueError(f"phantoms are not written in {self.transfer_syntax_uid.name}")


@dataclass(frozen=True)
class _BodyPart:
    examined: str
    code: str
    meaning: str
    laterality: str
    orientation: tuple[str, str]
    description: str


_DEFAULT_ENCODING = Encoding()
STUDY_TIME = datetime(2024, 3, 15, 9, 30)
"""Date and time of study, series and image of every phantom."""


def hand_dicom(hand: PhantomHand, patient: Patient, *, encoding: Encoding = _DEFAULT_ENCODING) -> FileDataset:
    """Turn a drawn hand into a DICOM data set that can be saved or sent.

    Args:
        hand: The picture.
        patient: Header's patient; need not agree with the hand.
        encoding: Object, bits and transfer syntax.
    """
    side = {Laterality.LEFT: "LEFT", Laterality.RIGHT: "RIGHT"}[hand.laterality]
    # Of a hand seen from its back with the fingers up, rows run to the patient's left and columns headwards.
    part = _BodyPart("HAND", "85562004", "Hand", str(hand.laterality), ("L", "H"), f"{side} HAND BONE AGE")
    return _radiograph(hand.pixels, hand.spacing_mm, part, patient, encoding)


def chest_dicom(
    chest: PhantomChest, patient: Patient, *, encoding: Encoding = _DEFAULT_ENCODING
) -> FileDataset:
    """Turn a drawn chest into a DICOM data set; arguments as for :func:`hand_dicom`."""
    part = _BodyPart("CHEST", "51185008", "Chest", "U", ("L", "F"), "CHEST PA")
    return _radiograph(chest.pixels, chest.spacing_mm, part, patient, encoding)


def derive_uid(*parts: object) -> UID:
    """A UID under 2.25 (PS3.5 B.2) that depends on its arguments alone."""
    digest = hashlib.sha256("\n".join(map(str, ("boneage-node phantom", *parts))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _radiograph(
    pixels: Array, spacing_mm: float, part: _BodyPart, patient: Patient, encoding: Encoding
) -> FileDataset:
    stored, low, high = _store(pixels, encoding)
    sop_class = {"DX": DigitalXRayImageStorageForPresentation, "CR": ComputedRadiographyImageStorage}[
        encoding.modality
    ]
    identity = (patient, encoding, STUDY_TIME.isoformat(), hashlib.sha256(stored.tobytes()).hexdigest())
    sop_instance_uid = derive_uid("instance", *identity)
    dataset = FileDataset("", {}, file_meta=_file_meta(sop_class, sop_instance_uid), preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_instance_uid
    dataset.StudyInstanceUID = derive_uid("study", *identity)
    dataset.SeriesInstanceUID = derive_uid("series", *identity)
    _add_patient(dataset, patient)
    _add_study(dataset, part, encoding, patient)
    _add_pixels(dataset, stored, spacing_mm, encoding)
    dataset.WindowCenter, dataset.WindowWidth = f"{(low + high + 1) / 2:g}", str(high - low + 1)
    if encoding.modality == "DX":
        _add_dx(dataset, part, encoding)
    else:
        dataset.BodyPartExamined, dataset.ViewPosition = part.examined, "PA"
        if part.laterality in ("L", "R"):
            dataset.Laterality = part.laterality
    dataset.file_meta.TransferSyntaxUID = (
        ExplicitVRLittleEndian if encoding.transfer_syntax_uid in _ENCODERS else encoding.transfer_syntax_uid
    )
    if encoding.transfer_syntax_uid in _ENCODERS:
        dataset.compress(
            encoding.transfer_syntax_uid,
            encoding_plugin=_ENCODERS[encoding.transfer_syntax_uid],
            generate_instance_uid=False,
        )
    return dataset


def _store(
    pixels: Array, encoding: Encoding
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint16]], int, int]:
    """Stored values with some headroom, and the lowest and highest that the picture may take."""
    top = 2**encoding.bits_stored - 1
    low, high = round(0.03 * top), round(0.97 * top)
    grey = pixels if encoding.photometric == "MONOCHROME2" else 1 - pixels
    return np.round(low + grey * (high - low)).astype(np.uint16), low, high


def _file_meta(sop_class: UID, sop_instance_uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.ImplementationClassUID = derive_uid("implementation")
    meta.ImplementationVersionName = "BONEAGE_PHANTOM"
    return meta


def _add_patient(dataset: Dataset, patient: Patient) -> None:
    dataset.PatientName, dataset.PatientID = patient.name, patient.patient_id
    dataset.PatientSex = "" if patient.sex is None else str(patient.sex)
    dataset.PatientBirthDate = ""
    if patient.age_months is not None:
        born = STUDY_TIME - timedelta(days=round(patient.age_months * DAYS_PER_MONTH))
        dataset.PatientBirthDate = born.strftime("%Y%m%d")
        years = patient.age_months / 12
        dataset.PatientAge = f"{int(years):03d}Y" if years >= 2 else f"{int(patient.age_months):03d}M"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Drawn phantom: there is no patient"


def _add_study(dataset: Dataset, part: _BodyPart, encoding: Encoding, patient: Patient) -> None:
    day, clock = STUDY_TIME.strftime("%Y%m%d"), STUDY_TIME.strftime("%H%M%S")
    for prefix in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{prefix}Date", day)
        setattr(dataset, f"{prefix}Time", clock)
    dataset.AccessionNumber = f"DRAWN-{patient.patient_id.rpartition('-')[2]}"
    dataset.StudyID = "1"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = dataset.SeriesDescription = dataset.ProtocolName = part.description
    dataset.Modality = encoding.modality
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.Manufacturer, dataset.ManufacturerModelName = "boneage-node", "Phantom"
    dataset.InstitutionName, dataset.StationName = "Phantom Hospital", "PHANTOM1"
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = "1", "0"
    dataset.PatientOrientation = list(part.orientation)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""] if encoding.modality == "DX" else ["ORIGINAL", "PRIMARY"]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.KVP, dataset.Exposure, dataset.DistanceSourceToDetector = "52", "2", "1000"


def _add_pixels(
    dataset: Dataset,
    stored: np.ndarray[tuple[int, ...], np.dtype[np.uint16]],
    spacing_mm: float,
    encoding: Encoding,
) -> None:
    spacing = f"{spacing_mm:.5f}"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = encoding.photometric
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored = 16, encoding.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = encoding.bits_stored - 1, 0
    dataset.ImagerPixelSpacing = dataset.PixelSpacing = [spacing, spacing]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _add_dx(dataset: Dataset, part: _BodyPart, encoding: Encoding) -> None:
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = part.laterality
    dataset.BodyPartExamined, dataset.ViewPosition = part.examined, "PA"
    dataset.AnatomicRegionSequence = [_code(part.code, "SCT", part.meaning)]
    view = _code("272479007", "SCT", "postero-anterior")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.PositionerType = ""
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    if encoding.photometric == "MONOCHROME1":
        dataset.PixelIntensityRelationshipSign = -1
    dataset.PresentationLUTShape = "INVERSE" if encoding.photometric == "MONOCHROME1" else "IDENTITY"
    dataset.DetectorType = "DIRECT"
    dataset.AcquisitionContextSequence = []


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
