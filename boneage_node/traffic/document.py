"""Documents of a report, as they are stored and sent."""

from __future__ import annotations

from enum import StrEnum


class DocumentForm(StrEnum):
    """In what form a report is said: DICOM structured report, DICOM picture, FHIR Bundle."""

    SR = "sr"
    PICTURE = "picture"
    FHIR = "fhir"
