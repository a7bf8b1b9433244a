"""Patient and day of a study, by which the patient's other studies are found."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from .dataset import Attributes, quiet_pydicom, undecoded_copy
from .header import STUDY_DATES, ContradictingDatesError, read_date, read_study_date

_READ = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", *STUDY_DATES)


@dataclass(frozen=True)
class Visit:
    """A patient on a day.

    Attributes:
        patient_digest: sha256 (hex) of the issuer and the PatientID: the same for the same patient, and does
            not say who it is. None without a PatientID.
        birth_date: PatientBirthDate, or None.
        study_date: The day of the study, or None where the header does not say or contradicts itself.
    """

    patient_digest: str | None
    birth_date: date | None
    study_date: date | None


def read_visit(dataset: Dataset) -> Visit:
    """Read whose image it is, without decoding anything in the dataset: a report copies it byte for byte.

    Never raises: what is malformed counts as absent.
    """
    with quiet_pydicom():
        attributes = Attributes(undecoded_copy(dataset, _READ))
        patient_id, issuer = attributes.text("PatientID"), attributes.text("IssuerOfPatientID")
        try:
            study_date = read_study_date(attributes)
        except ContradictingDatesError:
            study_date = None
        return Visit(
            patient_digest=_digest(issuer, patient_id) if patient_id else None,
            birth_date=read_date(attributes, "PatientBirthDate"),
            study_date=study_date,
        )


def _digest(issuer: str, patient_id: str) -> str:
    return hashlib.sha256(f"{issuer}\0{patient_id}".encode("utf-8", "surrogateescape")).hexdigest()
