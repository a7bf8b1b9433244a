"""Whose study a file is of, in the header's own words, for a person who has asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from boneage_node.bone_age import Refusal
from boneage_node.traffic.file import StoredFile

from .dataset import Attributes, quiet_pydicom, read_dataset


@dataclass(frozen=True)
class Identification:
    """Patient data: for the screen of who asked, never for a log. Empty where the header says nothing.

    Attributes:
        patient_id: PatientID.
        patient_name: PatientName, its components as written.
        accession_number: AccessionNumber.
    """

    patient_id: str
    patient_name: str
    accession_number: str


def read_identification(file: StoredFile) -> Identification | None:
    """Whose study a file is of; None where the file is not there or cannot be read."""
    try:
        attributes = Attributes(read_dataset(file, pixels=False))
    except (Refusal, OSError):
        return None
    with quiet_pydicom():
        keywords = ("PatientID", "PatientName", "AccessionNumber")
        return Identification(*(_printable(attributes.text(keyword)) for keyword in keywords))


def _printable(text: str) -> str:
    """Text without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
