"""References and times that a FHIR report takes from the image's header.

Nothing of the patient but the identifier: a server finds the patient by it, and what it does not need it is
not given.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydicom import Dataset
from pydicom.charset import convert_encodings, default_encoding, python_encoding

from boneage_node.radiograph.dataset import Attributes, quiet_pydicom
from boneage_node.report.source import copy_patient_and_study

from .types import DICOM_UID_SYSTEM, Json, concept, hl7_code, identifier, logical_reference

_ISSUERS = ("IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence")
_ENCODINGS = set(python_encoding.values()) - {default_encoding}
"""Python's names of DICOM's character sets beyond ASCII."""
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UTC_OFFSET_MAX = timedelta(hours=14)


@dataclass(frozen=True)
class FhirHeader:
    """References and times as FHIR writes them; None is what the header does not give.

    Attributes:
        subject: Reference to the Patient, by PatientID and its issuer.
        imaging_study: Reference to the ImagingStudy, by StudyInstanceUID.
        based_on: Reference to the ServiceRequest, by AccessionNumber.
        effective: When the study was made, a dateTime: the day alone unless the header has time and zone.
    """

    subject: Json | None
    imaging_study: Json | None
    based_on: Json | None
    effective: str | None

    @classmethod
    def of(cls, source: Dataset) -> FhirHeader:
        """Read from a data set of any quality, without decoding anything in it.

        Whoever reads ``source`` later still finds its values byte for byte.
        """
        with quiet_pydicom():
            attributes = Attributes(_decodable(source))
            return cls(
                subject=_subject(attributes),
                imaging_study=_imaging_study(attributes.text("StudyInstanceUID")),
                based_on=_based_on(attributes),
                effective=_effective(attributes),
            )


def _decodable(source: Dataset) -> Dataset:
    """A copy of the attributes that identify patient and study, which knows its character set."""
    copy = Dataset()
    copy_patient_and_study(source, copy)
    try:
        encodings = convert_encodings(copy.get("SpecificCharacterSet") or default_encoding)
    except (ValueError, LookupError):  # a name that cannot be one
        encodings = [default_encoding]
    # Where no character set is named pydicom decodes anything as Latin 1, and it takes any codec of Python's.
    encodings = [encoding if encoding in _ENCODINGS else "ascii" for encoding in encodings]
    items = [item for keyword in _ISSUERS for item in copy.get(keyword) or ()]
    for dataset in (copy, *items):
        dataset.set_original_encoding(False, True, encodings)
    return copy


def _subject(attributes: Attributes) -> Json | None:
    patient_id = _word(attributes, "PatientID")
    if not patient_id:
        return None
    qualifiers = next(iter(attributes.items("IssuerOfPatientIDQualifiersSequence")), None)
    known_as = identifier(
        patient_id,
        system=_system(qualifiers),
        assigner=_word(attributes, "IssuerOfPatientID"),
    )
    return logical_reference("Patient", known_as)


def _imaging_study(study_instance_uid: str) -> Json | None:
    if not _OID.fullmatch(study_instance_uid):
        return None
    known_as = identifier(f"urn:oid:{study_instance_uid}", system=DICOM_UID_SYSTEM)
    return logical_reference("ImagingStudy", known_as)


def _based_on(attributes: Attributes) -> Json | None:
    accession_number = _word(attributes, "AccessionNumber")
    if not accession_number:
        return None
    issuer = next(iter(attributes.items("IssuerOfAccessionNumberSequence")), None)
    known_as = identifier(
        accession_number,
        system=_system(issuer),
        assigner=_word(issuer, "LocalNamespaceEntityID") if issuer else None,
        kind=concept(hl7_code("v2-0203", "ACSN", "Accession ID")),
    )
    return logical_reference("ServiceRequest", known_as)


def _system(issuer: Attributes | None) -> str | None:
    """The namespace of an identifier as a URI, from Universal Entity ID and its type (PS3.3 10.14)."""
    if issuer is None:
        return None
    entity, kind = _word(issuer, "UniversalEntityID"), issuer.text("UniversalEntityIDType")
    if kind == "ISO" and _OID.fullmatch(entity):
        return f"urn:oid:{entity}"
    if kind == "URI" and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", entity):
        return entity
    if kind == "UUID":
        try:
            return f"urn:uuid:{uuid.UUID(entity)}"
        except ValueError:
            return None
    return None


def _word(attributes: Attributes, keyword: str) -> str:
    """A value to find something by; empty where it cannot be decoded: half of it would find another."""
    text = attributes.text(keyword)
    return text if text.isprintable() and "\ufffd" not in text else ""


def _effective(attributes: Attributes) -> str | None:
    """StudyDate, with StudyTime where TimezoneOffsetFromUTC says where; FHIR has no time without a zone."""
    digits = attributes.text("StudyDate").replace(".", "")  # YYYY.MM.DD before 1993 (PS3.5 6.2)
    try:
        day = date.fromisoformat(digits) if re.fullmatch("[0-9]{8}", digits) else None
    except ValueError:
        return None
    if day is None:
        return None
    match = re.fullmatch(r"([0-9]{2})([0-9]{2})([0-9]{2})?(\.[0-9]{1,6})?", attributes.text("StudyTime"))
    try:
        zone = datetime.strptime(attributes.text("TimezoneOffsetFromUTC"), "%z").tzinfo
        clock = time(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
    except ValueError:
        return day.isoformat()
    if clock is None or zone is None or abs(zone.utcoffset(None) or timedelta()) > _UTC_OFFSET_MAX:
        return day.isoformat()
    return datetime.combine(day, clock, zone).isoformat()
