"""FHIR's small data types (R4, datatypes.html), as the JSON objects of our resources."""

from __future__ import annotations

import json
import uuid
from html import escape
from typing import Any

from pydicom.sr.coding import Code

from boneage_node.bone_age.rounding import rounded

Json = dict[str, Any]
"""A JSON object."""

# Code systems as FHIR names them (terminologies-systems.html), by their designators in DICOM (PS3.16, 8).
SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "RADELEMENT": "https://radelement.org",
}
_HL7 = "http://terminology.hl7.org/CodeSystem/"
URI_SYSTEM = "urn:ietf:rfc:3986"
"""System of an identifier that is a URI itself."""
DICOM_UID_SYSTEM = "urn:dicom:uid"
"""System of an identifier that is a DICOM UID (imagingstudy.html)."""


def json_bytes(resource: Json) -> bytes:
    """A resource as it is sent: FHIR's JSON is UTF-8 (json.html)."""
    return json.dumps(resource, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def concept(*codes: Code, text: str | None = None) -> Json:
    """A CodeableConcept of codes that say the same, of DICOM's schemes or HL7's."""
    return _without_empty({"coding": [_coding(code) for code in codes], "text": text})


def hl7_code(system: str, value: str, meaning: str) -> Code:
    """A code of one of HL7's own systems, by the last part of the system's URL."""
    return Code(value, _HL7 + system, meaning)


def _coding(code: Code) -> Json:
    scheme = code.scheme_designator
    return {"system": SYSTEMS.get(scheme, scheme), "code": code.value, "display": code.meaning}


def quantity(value: float, unit: Code, digits: int) -> Json:
    """A Quantity in a unit of UCUM, rounded: FHIR takes the digits of a number for its precision."""
    return {
        "value": rounded(value, digits) if digits else round(value),
        "unit": unit.meaning,
        "system": SYSTEMS[unit.scheme_designator],
        "code": unit.value,
    }


def identifier(
    value: str, *, system: str | None = None, assigner: str | None = None, kind: Json | None = None
) -> Json:
    """An Identifier, with what is known of who assigned it."""
    known_assigner = {"display": assigner} if assigner else None
    return _without_empty({"type": kind, "system": system, "value": value, "assigner": known_assigner})


def logical_reference(resource_type: str, known_as: Json) -> Json:
    """A Reference to a resource that the server may have, by an identifier of it."""
    return {"type": resource_type, "identifier": known_as}


def narrative(paragraphs: list[str]) -> Json:
    """Narrative of a resource for people, generated from its data."""
    body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}


def urn_uuid(uid: str) -> str:
    """The UUID in a UID under ``2.25`` (PS3.5 B.2), as a URI."""
    return f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"


def _without_empty(element: Json) -> Json:
    """FHIR has no empty element: what is not known is not there."""
    return {name: value for name, value in element.items() if value not in (None, "", [])}
