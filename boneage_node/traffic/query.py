"""Queries to a PACS and their matches, by DICOM or by DICOMweb."""

from __future__ import annotations

from dataclasses import dataclass, field

from boneage_node.errors import BoneAgeError


class QueryFailed(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The PACS did not do what was asked; the text says why and what mends it, without patient data."""


@dataclass(frozen=True)
class StudyQuery:
    """The studies that are asked for: one of the two is given, and neither holds a wildcard.

    Attributes:
        accession_number: Accession Number, or None.
        study_instance_uid: Study Instance UID, or None.
    """

    accession_number: str | None = None
    study_instance_uid: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The matching keys, by keyword."""
        keys = {"AccessionNumber": self.accession_number, "StudyInstanceUID": self.study_instance_uid}
        return {keyword: value for keyword, value in keys.items() if value is not None}

    def matches(self, accession_number: str, study_instance_uid: str) -> bool:
        """Tell whether a study matches: some PACS ignore keys they do not know, and answer with all."""
        if self.study_instance_uid is not None:
            return study_instance_uid == self.study_instance_uid
        return accession_number.casefold() == (self.accession_number or "").casefold()


@dataclass(frozen=True)
class FoundStudy:
    """A study that a PACS has.

    Attributes:
        study_instance_uid: Study Instance UID.
        study_date: Study Date as ``YYYYMMDD``, empty where it is not told.
        patient_id: Patient ID, never to be shown.
    """

    study_instance_uid: str
    study_date: str
    patient_id: str = field(repr=False)


@dataclass(frozen=True)
class FoundSeries:
    """A series that a PACS has.

    Attributes:
        series_instance_uid: Series Instance UID.
        modality: Modality, empty where it is not told.
    """

    series_instance_uid: str
    modality: str
