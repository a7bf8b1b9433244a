"""Small DICOM images to read, each as a modality would write it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)
from support.dimse import set_attributes

MakeImage = Callable[..., Dataset]


@pytest.fixture
def ramp() -> np.ndarray:
    """Every 12-bit value once, rising from left to right and top to bottom: shape (64, 64)."""
    return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def make_image(ramp: np.ndarray) -> MakeImage:
    """A DX image of a girl's left hand; pixels and any attribute can be given."""

    def make(pixels: np.ndarray | None = None, *, bits: int = 12, **attributes: Any) -> Dataset:
        pixels = ramp if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
        dataset.SOPInstanceUID = generate_uid(prefix="2.25.")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.1", "2.25.2"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.ImageType = ["ORIGINAL", "PRIMARY"]
        dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "HAND", "PA"
        dataset.PatientName, dataset.PatientID, dataset.PatientSex = "Someone^Secret", "4711", "F"
        dataset.PatientBirthDate, dataset.StudyDate = "20100101", "20200101"
        dataset.ImageLaterality, dataset.PixelSpacing = "L", [0.15, 0.15]
        dataset.Rows, dataset.Columns = pixels.shape[:2]
        dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
        dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
        if pixels.ndim == 3:
            dataset.PlanarConfiguration = 0
        dataset.BitsAllocated = pixels.dtype.itemsize * 8
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
        dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, of values that are wrong on purpose
            return set_attributes(dataset, **attributes)

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Dataset], Path]:
    """Write a dataset as a DICOM file of its transfer syntax."""
    count = iter(range(10_000))

    def write(dataset: Dataset) -> Path:
        path = tmp_path / f"{next(count)}.dcm"
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
