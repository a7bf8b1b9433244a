"""A result as FHIR R4 (4.0.1): a transaction of a DiagnosticReport and its Observation.

The same numbers, codes and identity as in the structured report. Both resources are created conditionally, by
an identifier that derives from what was read: sending twice makes one of each, and what a person has made of
them since is not overwritten.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from boneage_node.bone_age import Answer, Assessment, Determination, ReasonCode, Refusal
from boneage_node.bone_age.reference import LIMIT_SD
from boneage_node.bone_age.rounding import MONTHS_DIGITS, Z_SCORE_DIGITS
from boneage_node.report import codes
from boneage_node.report.identity import DeviceIdentity, derive_uid
from boneage_node.report.report import Report
from boneage_node.report.wording import (
    CHILDREN,
    OUTSIDE_NORMAL,
    determination_words,
    interval_name,
    whole_percent,
)

from .header import FhirHeader
from .types import (
    DICOM_UID_SYSTEM,
    URI_SYSTEM,
    Json,
    concept,
    hl7_code,
    identifier,
    logical_reference,
    narrative,
    quantity,
    urn_uuid,
)

_ERROR = hl7_code("data-absent-reason", "error", "Error")
_UNSUPPORTED = hl7_code("data-absent-reason", "unsupported", "Unsupported")
_NOT_APPLICABLE = hl7_code("data-absent-reason", "not-applicable", "Not Applicable")
_NOT_PERFORMED = hl7_code("data-absent-reason", "not-performed", "Not Performed")
_ABSENT = {
    ReasonCode.UNREADABLE_FILE: _ERROR,
    ReasonCode.DAMAGED_PIXELS: _ERROR,
    ReasonCode.NO_PIXELS: _ERROR,
    ReasonCode.UNSUPPORTED_OBJECT: _UNSUPPORTED,
    ReasonCode.UNSUPPORTED_PIXELS: _UNSUPPORTED,
    ReasonCode.TOO_LARGE: _UNSUPPORTED,
    ReasonCode.NOT_A_HAND: _NOT_APPLICABLE,
    ReasonCode.ADULT: _NOT_APPLICABLE,
}
"""Why there is no value, in HL7's words; for all other reasons the reading was not made."""
_INTERPRETATIONS = {
    Determination.DELAYED: hl7_code("v3-ObservationInterpretation", "L", "Low"),
    Determination.NORMAL: hl7_code("v3-ObservationInterpretation", "N", "Normal"),
    Determination.ADVANCED: hl7_code("v3-ObservationInterpretation", "H", "High"),
}
"""Determination in HL7's words for numbers."""


def fhir_bundle(report: Report) -> Json:
    """A report as a Bundle of type ``transaction``, to be posted to a FHIR server.

    Nothing has to be in its source. All identifiers follow from the UID of the structured report that says
    the same, which is itself one of the DiagnosticReport's.
    """
    answer, uid = report.answer, report.sop_instance_uid
    header = FhirHeader.of(report.source)
    common = {
        "subject": header.subject,
        "effectiveDateTime": header.effective,
        "issued": report.created_at.isoformat(timespec="milliseconds"),
    }
    sentences = report.sentences
    observation = _entry(
        _observation(answer, sentences, header, common, report.device) | _replaces("observation", report), uid
    )
    diagnostic_report = _diagnostic_report(sentences, header, common, observation["fullUrl"])
    diagnostic_report |= _replaces("diagnosticReport", report)
    diagnostic_report["identifier"] = [identifier(f"urn:oid:{uid}", system=DICOM_UID_SYSTEM)]
    uri = urn_uuid(derive_uid("fhir", "Bundle", uid))
    return {
        "resourceType": "Bundle",
        "identifier": identifier(uri, system=URI_SYSTEM),
        "type": "transaction",
        "entry": [observation, _entry(diagnostic_report, uid)],
    }


def _entry(resource: Json, report_instance_uid: str) -> Json:
    """An entry that creates a resource unless one with its identifier is there (http.html#ccreate).

    The identifier is not the entry's URL: servers replace that by the place where they put the resource, some
    of them wherever they find it.
    """
    resource_type = resource["resourceType"]
    uri = _uri(resource_type, report_instance_uid)
    known_as = [*resource.get("identifier", []), identifier(uri, system=URI_SYSTEM)]
    known = {name: value for name, value in resource.items() if value is not None}
    return {
        "fullUrl": urn_uuid(derive_uid("fhir", "entry", resource_type, report_instance_uid)),
        "resource": {**known, "identifier": known_as},
        "request": {
            "method": "POST",
            "url": resource_type,
            "ifNoneExist": f"identifier={URI_SYSTEM}|{uri}",
        },
    }


def _uri(resource_type: str, report_instance_uid: str) -> str:
    """What a resource is known by."""
    return f"urn:oid:{derive_uid('fhir', resource_type, report_instance_uid)}"


def _replaces(name: str, report: Report) -> Json:
    """HL7's extension that names the resource which this one replaces, by its identifier."""
    if report.predecessor is None:
        return {}
    resource_type = name[0].upper() + name[1:]
    known_as = identifier(_uri(resource_type, report.predecessor.sop_instance_uid), system=URI_SYSTEM)
    url = f"http://hl7.org/fhir/StructureDefinition/{name}-replaces"
    return {"extension": [{"url": url, "valueReference": logical_reference(resource_type, known_as)}]}


def _diagnostic_report(sentences: list[str], header: FhirHeader, common: Json, observation_uri: str) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "text": narrative(sentences),
        "basedOn": [header.based_on] if header.based_on else None,
        "status": "preliminary",
        "category": [concept(hl7_code("v2-0074", "RAD", "Radiology"))],
        "code": concept(codes.BONE_AGE_STUDY),
        **common,
        "result": [{"reference": observation_uri}],
        "imagingStudy": [header.imaging_study] if header.imaging_study else None,
        "conclusion": " ".join(sentences),
    }


def _observation(
    answer: Answer,
    sentences: list[str],
    header: FhirHeader,
    common: Json,
    device: DeviceIdentity,
) -> Json:
    """The bone age, or that there is none: in R4's words a measurement that was not completed."""
    observation = {
        "resourceType": "Observation",
        "text": narrative(sentences),
        "contained": [_device(device, answer)],
        "basedOn": [header.based_on] if header.based_on else None,
        "status": "preliminary" if isinstance(answer, Assessment) else "cancelled",
        "category": [concept(hl7_code("observation-category", "imaging", "Imaging"))],
        "code": concept(codes.BONE_AGE),
        **common,
        "note": [{"text": " ".join(sentences)}],
        "device": {"reference": "#device"},
        "derivedFrom": [header.imaging_study] if header.imaging_study else None,
    }
    return observation | (_value(answer) if isinstance(answer, Assessment) else _absent(answer))


def _device(device: DeviceIdentity, answer: Answer) -> Json:
    """The station, with the versions that the reading depends on; a refusal may have needed no model."""
    versions = [{"type": {"text": "software"}, "value": device.software_version}]
    if isinstance(answer, Assessment):
        model = answer.model
        versions += [
            {"type": {"text": "model"}, "value": f"{model.name} {model.version}"},
            {"type": {"text": "sha256 of the model's weights"}, "value": model.sha256},
        ]
    return {
        "resourceType": "Device",
        "id": "device",
        "identifier": [identifier(f"urn:oid:{device.uid}", system=DICOM_UID_SYSTEM)],
        "manufacturer": device.manufacturer,
        "deviceName": [
            {"name": device.model_name, "type": "model-name"},
            {"name": device.name, "type": "user-friendly-name"},
        ],
        "version": versions,
    }


def _absent(refusal: Refusal) -> Json:
    reason = _ABSENT.get(refusal.code, _NOT_PERFORMED)
    return {"dataAbsentReason": concept(reason, text=str(refusal.code))}


def _value(assessment: Assessment) -> Json:
    """The bone age and what belongs to it; what is not known is not there."""
    value = {
        "valueQuantity": quantity(assessment.bone_age_months, codes.MONTH, MONTHS_DIGITS),
        "method": concept(codes.GREULICH_AND_PYLE),
        "bodySite": concept(*_hand(assessment)),
        "component": _components(assessment),
    }
    if assessment.determination in _INTERPRETATIONS:
        value["interpretation"] = [_interpretation(assessment)]
    return value


def _hand(assessment: Assessment) -> list[Code]:
    """The hand, and which: R4 has no place for the side but the code."""
    side = assessment.laterality
    return [*([codes.HANDS[side]] if side else []), codes.HAND]


def _interpretation(assessment: Assessment) -> Json:
    """The reading's, by code; that it is not certain is said in words, as no code says both."""
    found = assessment.determination
    text = f"{determination_words(assessment)} ({LIMIT_SD:.0f} SD)"
    return concept(_INTERPRETATIONS[found], codes.DETERMINATIONS[found], text=text)


def _components(assessment: Assessment) -> list[Json]:
    low_months, high_months = assessment.interval_months
    components = [
        {
            "code": concept(codes.SKELETAL_AGE, text=f"Bone age, read as a {CHILDREN[sex]}"),
            "valueQuantity": quantity(age_months, codes.MONTH, MONTHS_DIGITS),
        }
        for sex, age_months in sorted(assessment.months_by_sex.items())
        if assessment.sex is None
    ]
    components.append(
        {
            "code": concept(codes.UNCERTAINTY, text=interval_name(assessment)),
            "valueRange": {
                "low": quantity(low_months, codes.MONTH, MONTHS_DIGITS),
                "high": quantity(high_months, codes.MONTH, MONTHS_DIGITS),
            },
        }
    )
    if assessment.chronological_age_months is not None:
        age = quantity(assessment.chronological_age_months, codes.MONTH, MONTHS_DIGITS)
        components.append({"code": concept(codes.SUBJECT_AGE), "valueQuantity": age})
    if assessment.z_score is not None:
        z_score = quantity(assessment.z_score, codes.STANDARD_DEVIATIONS, Z_SCORE_DIGITS)
        components.append({"code": concept(codes.Z_SCORE), "valueQuantity": z_score})
    if assessment.probability_outside_normal is not None:
        components.append(_outside_normal(assessment.probability_outside_normal))
    return components


def _outside_normal(probability: float) -> Json:
    comparator, percent = whole_percent(probability)
    value = quantity(percent, codes.PERCENT, 0)
    if comparator:
        value["comparator"] = comparator
    return {"code": concept(codes.OUTSIDE_NORMAL, text=OUTSIDE_NORMAL), "valueQuantity": value}
