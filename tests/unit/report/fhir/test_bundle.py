"""A result as FHIR: what it says, what it leaves unsaid, and that the same result is the same."""

import copy
import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComprehensiveSRStorage
from support.report import (
    ASSESSMENT,
    BROKEN,
    COURSE,
    CREATED_AT,
    NOTHING_KNOWN,
    OF_A_LABEL,
    READ_AS_BOTH,
    REFUSAL,
    REPORT_UID,
    RIGHT_HAND,
    SOUND,
    UNCERTAIN,
    radiograph,
    report_of,
    written_and_read,
)

from boneage_node.bone_age import Caution, ReasonCode, Refusal
from boneage_node.report import DeviceIdentity, Kind, Predecessor, fhir_bundle
from boneage_node.report.wording import agreement_sentence

ANSWERS = {
    "assessment": ASSESSMENT,
    "nothing known": NOTHING_KNOWN,
    "read as both": READ_AS_BOTH,
    "refusal": REFUSAL,
}
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
INTERVAL = "90 % prediction interval for the mean of readers"
OUTSIDE = "Probability that the bone age is outside 2 SD of the chronological age"
STUDY_UID = "1.2.826.0.1.3680043.10.1.1"


def bundle_of(source=None, answer=ASSESSMENT, **arguments):
    report = report_of(source or radiograph(), answer, **arguments)
    return json.loads(json.dumps(fhir_bundle(report), allow_nan=False))


def resources(source=None, answer=ASSESSMENT, **arguments):
    """The observation and the report."""
    return [entry["resource"] for entry in bundle_of(source, answer, **arguments)["entry"]]


def coded(concept):
    return [(coding["system"], coding["code"]) for coding in concept["coding"]]


def components(observation):
    """Values of the components by their first code, and by their text where they have one."""
    return {
        component["code"].get("text") or coded(component["code"])[0][1]: component
        for component in observation["component"]
    }


def months(value):
    return {"value": value, "unit": "month", "system": "http://unitsofmeasure.org", "code": "mo"}


def percent(value):
    return {"value": value, "unit": "Percent", "system": "http://unitsofmeasure.org", "code": "%"}


def with_item(keyword, **attributes):
    """A radiograph with a sequence of one item."""
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    source = radiograph()
    setattr(source, keyword, Sequence([item]))
    return written_and_read(source)


@pytest.mark.parametrize("header", [*SOUND, *BROKEN])
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_about_every_header_is_fhir(answer, header):
    source = radiograph(**(SOUND | BROKEN)[header])
    Bundle.model_validate(bundle_of(source, ANSWERS[answer]))


def test_the_observation_is_the_bone_age_with_what_belongs_to_it():
    observation, _ = resources()
    assert observation["resourceType"] == "Observation"
    assert observation["status"] == "preliminary"
    assert coded(observation["code"]) == [(LOINC, "85151-9")]
    assert observation["valueQuantity"] == months(98.4)
    assert coded(observation["method"]) == [(SNOMED, "252956001")]
    assert coded(observation["bodySite"]) == [(SNOMED, "85151006"), (SNOMED, "85562004")]
    parts = components(observation)
    assert parts[INTERVAL]["valueRange"] == {"low": months(85.3), "high": months(113.0)}
    assert parts["121033"]["valueQuantity"] == months(92.3)
    assert parts["121416"]["valueQuantity"] == {
        "value": 0.7,
        "unit": "standard deviations",
        "system": "http://unitsofmeasure.org",
        "code": "{SD}",
    }
    assert parts[OUTSIDE]["valueQuantity"] == percent(9)
    assert len(parts) == 4


@pytest.mark.parametrize(
    ("bone_age_months", "value"),
    [
        (92.0, {"value": 1, "comparator": "<"}),
        (112.0, {"value": 60}),
        (160.0, {"value": 99, "comparator": ">"}),
    ],
)
def test_the_probability_is_in_whole_percent_and_never_none_or_all(bone_age_months, value):
    narrow = (bone_age_months - 10, bone_age_months + 10)
    bundle = bundle_of(answer=replace(ASSESSMENT, bone_age_months=bone_age_months, interval_months=narrow))
    Bundle.model_validate(bundle)
    part = components(bundle["entry"][0]["resource"])[OUTSIDE]
    assert coded(part["code"]) == [(DCM, "122157")]
    assert part["valueQuantity"] == percent(0) | value
    assert type(part["valueQuantity"]["value"]) is int  # FHIR takes the digits for the precision


def test_an_interval_for_a_label_is_not_said_to_be_for_the_mean_of_readers():
    observation, report = resources(answer=OF_A_LABEL)
    parts = components(observation)
    assert "90 % prediction interval" in parts
    assert OUTSIDE not in parts
    assert "(98.4 months, 90 % prediction interval 85.3 to 113.0 months)" in report["conclusion"]
    assert "(z-score +0.7, Brush Foundation)" in report["conclusion"]


def test_what_is_not_known_is_not_there():
    observation, report = resources(answer=NOTHING_KNOWN)
    assert list(components(observation)) == [INTERVAL]
    assert coded(observation["bodySite"]) == [(SNOMED, "85562004")]
    assert "interpretation" not in observation
    assert "; the chronological age is not known." in report["conclusion"]
    assert report["conclusion"].startswith("Hand, side not known: bone age 8 y 2 mo")
    assert "Greulich and Pyle for girls" in report["conclusion"]


def test_a_right_hand_is_a_right_hand():
    observation, report = resources(answer=RIGHT_HAND)
    assert coded(observation["bodySite"])[0] == (SNOMED, "78791008")
    assert "Right hand" in report["conclusion"]


@pytest.mark.parametrize(
    ("z_score", "code", "word"),
    [
        (-2.1, "L", "delayed"),
        (-2.04, "N", "normal"),  # as it is printed
        (-2.0, "N", "normal"),
        (0.0, "N", "normal"),
        (2.0, "N", "normal"),
        (2.04, "N", "normal"),
        (2.1, "H", "advanced"),
    ],
)
def test_two_standard_deviations_make_a_bone_age_delayed_or_advanced(z_score, code, word):
    far = (20.0, 40.0) if z_score < 0 else (150.0, 170.0)
    observation, report = resources(answer=replace(ASSESSMENT, z_score=z_score, interval_months=far))
    (interpretation,) = observation["interpretation"]
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    assert coded(interpretation)[0] == (system, code)
    assert interpretation["coding"][1]["display"] == word.capitalize()
    assert interpretation["text"] == f"{word} for age (2 SD)"
    assert (
        f": {word} for age (z-score {z_score:+z.1f}, Brush Foundation; outside 2 SD" in report["conclusion"]
    )


def test_advanced_is_not_certain_where_the_interval_reaches_into_the_normal_range():
    observation, report = resources(answer=UNCERTAIN)
    (interpretation,) = observation["interpretation"]
    assert coded(interpretation)[0][1] == "H"
    assert interpretation["text"] == "advanced for age, not certain (2 SD)"
    said = (
        "advanced for age, not certain (z-score +2.1, Brush Foundation; outside 2 SD with a probability of "
        "51 %; the interval, -0.5 to +3.7, reaches"
    )
    assert said in report["conclusion"]


def test_what_is_to_be_looked_at_is_said():
    _, report = resources(answer=replace(ASSESSMENT, cautions=(Caution.POINT_OFF_FINGER,)))
    assert Caution.POINT_OFF_FINGER.sentence in report["conclusion"]


def test_earlier_readings_are_told():
    _, report = resources(course=COURSE)
    assert (
        "Bone age since 2025-03-01: +13.4 months in 12.0 months, 1.12 times as fast as the calendar."
        in report["conclusion"]
    )
    assert "2024-03-01: bone age 70.0 months" in report["conclusion"]
    _, telling = resources(answer=replace(ASSESSMENT, repeatability_months=3.1), course=COURSE)
    assert (
        "; a change of less than 3.1 months may come of re-taking the image alone." in telling["conclusion"]
    )


def test_of_an_unknown_sex_both_readings_are_told_and_the_value_is_said_to_be_their_mean():
    observation, report = resources(answer=READ_AS_BOTH)
    parts = components(observation)
    assert parts["Bone age, read as a girl"]["valueQuantity"] == months(98.2)
    assert parts["Bone age, read as a boy"]["valueQuantity"] == months(103.4)
    # nobody who looks for the bone age is to take one of the two for it
    assert all((LOINC, "85151-9") not in coded(part["code"]) for part in parts.values())
    assert observation["valueQuantity"] == months(100.8)
    for said in (report["conclusion"], observation["note"][0]["text"]):
        assert "this is the mean of 98.2 months read as a girl's and 103.4 months read as a boy's" in said
    assert "interpretation" not in observation


def test_the_report_concludes_in_words_and_leads_to_the_observation():
    bundle = bundle_of()
    observation, report = (entry["resource"] for entry in bundle["entry"])
    assert report["status"] == "preliminary"
    assert coded(report["category"][0]) == [("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")]
    assert coded(report["code"]) == [(LOINC, "24724-7")]
    assert report["result"] == [{"reference": bundle["entry"][0]["fullUrl"]}]
    assert report["issued"] == observation["issued"] == "2026-03-04T15:16:17.250+00:00"
    assert report["conclusion"] == (
        "Left hand: bone age 8 y 2 mo (98.4 months, 90 % prediction interval for the mean of readers 85.3 to "
        "113.0 months) by the standards of Greulich and Pyle for boys; chronological age 7 y 8 mo (92.3 "
        "months): normal for age (z-score +0.7, Brush Foundation; outside 2 SD with a probability of 9 %). "
        f"{agreement_sentence(ASSESSMENT)} "
        "Result of software (AI), not verified by a physician. For research use only."
    )


@pytest.mark.parametrize("answer", ANSWERS)
def test_everything_says_that_nobody_has_verified_it(answer):
    observation, report = resources(answer=ANSWERS[answer])
    for said in (report["conclusion"], observation["note"][0]["text"], report["text"]["div"]):
        assert "not verified by a physician. For research use only." in said


def test_the_device_names_software_model_and_weights():
    observation, _ = resources(device=DeviceIdentity("HAND1", software_version="9.9"))
    (device,) = observation["contained"]
    assert observation["device"] == {"reference": f"#{device['id']}"}
    assert [name["name"] for name in device["deviceName"]] == ["boneage-node", "HAND1"]
    assert [version["value"] for version in device["version"]] == ["9.9", "hand-vgg 1.0", "ab" * 32]
    assert device["identifier"][0]["value"] == f"urn:oid:{DeviceIdentity('HAND1').uid}"


@pytest.mark.parametrize("code", ReasonCode)
def test_a_refusal_says_why_in_words_and_by_code_and_has_no_value(code):
    refusal = Refusal(code, "what was found")
    observation, report = resources(answer=refusal)
    assert report["conclusion"].startswith(f"No bone age was read. {refusal.sentence}")
    assert observation["note"][0]["text"] == report["conclusion"]
    assert observation["status"] == "cancelled"
    assert observation["dataAbsentReason"]["text"] == code
    assert not [name for name in observation if name.startswith("value")]
    assert "component" not in observation
    # what was not read has no model, and a model's version would say that it had
    assert [version["type"]["text"] for version in observation["contained"][0]["version"]] == ["software"]


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (ReasonCode.DAMAGED_PIXELS, "error"),
        (ReasonCode.UNSUPPORTED_PIXELS, "unsupported"),
        (ReasonCode.ADULT, "not-applicable"),
        (ReasonCode.SEX_UNKNOWN, "not-performed"),
        (ReasonCode.READINGS_DISAGREE, "not-performed"),
    ],
)
def test_why_there_is_no_value_is_said_in_hl7s_words_too(code, absent):
    observation, _ = resources(answer=Refusal(code))
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    assert coded(observation["dataAbsentReason"]) == [(system, absent)]


def test_what_an_image_wrote_into_a_reason_cannot_become_markup():
    _, report = resources(answer=Refusal(ReasonCode.NOT_A_HAND, "BodyPartExamined is <b>\x00\x1b&Fuß"))
    assert "(BodyPartExamined is &lt;b&gt;??&amp;Fuß)" in report["text"]["div"]
    assert "(BodyPartExamined is <b>??&Fuß)" in report["conclusion"]


def test_patient_study_and_order_are_found_by_their_identifiers():
    observation, report = resources()
    for resource in (observation, report):
        assert resource["subject"] == {"type": "Patient", "identifier": {"value": "4711"}}
        (order,) = resource["basedOn"]
        assert order["type"] == "ServiceRequest"
        assert order["identifier"]["value"] == "A-17"
        assert order["identifier"]["type"]["coding"][0]["code"] == "ACSN"
    study = {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"},
    }
    assert report["imagingStudy"] == [study] == observation["derivedFrom"]


@pytest.mark.parametrize(
    ("attributes", "system"),
    [
        ({"UniversalEntityID": "1.2.3.4", "UniversalEntityIDType": "ISO"}, "urn:oid:1.2.3.4"),
        ({"UniversalEntityID": "https://h.example/p", "UniversalEntityIDType": "URI"}, "https://h.example/p"),
        (
            {"UniversalEntityID": "6F0E4D6C-3C1B-4C53-9D0B-6A1D3B0F7C52", "UniversalEntityIDType": "UUID"},
            "urn:uuid:6f0e4d6c-3c1b-4c53-9d0b-6a1d3b0f7c52",
        ),
        ({"UniversalEntityID": "h.example", "UniversalEntityIDType": "DNS"}, None),
        ({"UniversalEntityID": "not an oid", "UniversalEntityIDType": "ISO"}, None),
        ({"UniversalEntityID": "no uuid", "UniversalEntityIDType": "UUID"}, None),
        ({"UniversalEntityID": "no uri", "UniversalEntityIDType": "URI"}, None),
    ],
)
def test_the_namespace_of_an_identifier_is_its_system(attributes, system):
    _, report = resources(with_item("IssuerOfPatientIDQualifiersSequence", **attributes))
    assert report["subject"]["identifier"].get("system") == system
    _, report = resources(with_item("IssuerOfAccessionNumberSequence", **attributes))
    assert report["basedOn"][0]["identifier"].get("system") == system


def test_an_issuer_by_name_assigned_the_identifier():
    _, report = resources(radiograph(SpecificCharacterSet="ISO_IR 100", IssuerOfPatientID="Universität"))
    assert report["subject"]["identifier"] == {"value": "4711", "assigner": {"display": "Universität"}}
    _, report = resources(with_item("IssuerOfAccessionNumberSequence", LocalNamespaceEntityID="RIS"))
    assert report["basedOn"][0]["identifier"]["assigner"] == {"display": "RIS"}


@pytest.mark.parametrize(
    ("character_set", "patient_id"),
    [
        ("ISO_IR 100", "Ä-1"),
        (["", "ISO 2022 IR 87"], "山田1"),
        ("ISO_IR 144", "Ж-17"),
        ("ISO_IR 192", "王-1"),
        ("GB18030", "王-2"),
    ],
)
def test_an_identifier_is_decoded_by_the_images_character_set(character_set, patient_id):
    source = radiograph(SpecificCharacterSet=character_set, PatientID=patient_id)
    _, report = resources(source)
    assert report["subject"]["identifier"]["value"] == patient_id


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": None},
        {"PatientID": ""},
        {"PatientID": b"47\x0111"},
        {"PatientID": b"47\\11 "},
        {"SpecificCharacterSet": b"ISO_IR 192", "PatientID": b"47\xff11 "},
        {"SpecificCharacterSet": b"ISO_IR 999", "PatientID": b"47\xff11 "},
        {"SpecificCharacterSet": b"\xff\xfe\x00\x01", "PatientID": b"47\xff11 "},
        {"SpecificCharacterSet": b"utf_16", "PatientID": b"47\xff1"},
        {"PatientID": b"47\xff11 "},
    ],
)
def test_an_identifier_that_cannot_be_read_is_no_identifier(changes):
    observation, report = resources(radiograph(**changes))
    assert "subject" not in report
    assert "subject" not in observation


@pytest.mark.parametrize("header", [*SOUND, *BROKEN])
def test_nothing_of_the_patient_but_the_identifier_is_told(header):
    changes = (SOUND | BROKEN)[header]
    text = json.dumps(bundle_of(radiograph(**changes)), ensure_ascii=False)
    names = ("Doe", "John", "ller", "Yamada", "山田", "홍", "Роза", "Wang", "Rita")
    assert not [told for told in (*names, "20180601", "2018-06") if told in text]


def test_the_source_keeps_its_values_undecoded():
    source = radiograph(**SOUND["japanese"])
    before = copy.deepcopy({tag: source.get_item(tag) for tag in source.keys()})  # noqa: SIM118
    bundle_of(source)
    assert {tag: source.get_item(tag) for tag in source.keys()} == before  # noqa: SIM118


@pytest.mark.parametrize(
    ("changes", "effective"),
    [
        ({}, "2026-03-04"),
        ({"TimezoneOffsetFromUTC": "+0930"}, "2026-03-04T10:11:12+09:30"),
        ({"TimezoneOffsetFromUTC": "-0500", "StudyTime": "101112.5"}, "2026-03-04T10:11:12-05:00"),
        ({"TimezoneOffsetFromUTC": "+0000", "StudyTime": "1011"}, "2026-03-04T10:11:00+00:00"),
        ({"TimezoneOffsetFromUTC": "+0100", "StudyTime": "10"}, "2026-03-04"),
        ({"TimezoneOffsetFromUTC": "+0100", "StudyTime": None}, "2026-03-04"),
        ({"TimezoneOffsetFromUTC": "+0100", "StudyTime": b"256061"}, "2026-03-04"),
        ({"TimezoneOffsetFromUTC": b"+9999 "}, "2026-03-04"),
        ({"TimezoneOffsetFromUTC": b"+1530 "}, "2026-03-04"),
        ({"StudyDate": b"1992.03.04"}, "1992-03-04"),
        ({"StudyDate": b"20260230"}, None),
        ({"StudyDate": b"2026-03-04"}, None),
        ({"StudyDate": None}, None),
    ],
)
def test_when_the_study_was_made_is_told_as_exactly_as_the_header_does(changes, effective):
    observation, report = resources(radiograph(**changes))
    assert report.get("effectiveDateTime") == effective == observation.get("effectiveDateTime")


def test_a_study_uid_that_is_none_is_not_referred_to():
    observation, report = resources(radiograph(**BROKEN["uids that are none"]))
    assert "imagingStudy" not in report
    assert "derivedFrom" not in observation


def test_of_an_unreadable_file_the_study_is_enough():
    source = Dataset()
    source.StudyInstanceUID = STUDY_UID
    bundle = bundle_of(source, Refusal(ReasonCode.UNREADABLE_FILE))
    Bundle.model_validate(bundle)
    assert bundle["entry"][1]["resource"]["imagingStudy"]


def test_the_same_result_has_the_same_identifiers_and_is_created_once():
    first, later = bundle_of(), bundle_of(created_at=CREATED_AT + timedelta(days=1))
    assert first["identifier"] == later["identifier"]
    for entry, again in zip(first["entry"], later["entry"], strict=True):
        assert entry["request"] == again["request"]
        assert entry["request"]["method"] == "POST"
        assert entry["request"]["url"] == entry["resource"]["resourceType"]
        searched = re.fullmatch(r"identifier=([^|]+)\|(.+)", entry["request"]["ifNoneExist"])
        assert {"system": searched[1], "value": searched[2]} in entry["resource"]["identifier"]
        # a server that puts its own URL in place of the entry's must not change the identifier
        assert entry["fullUrl"] not in json.dumps(entry["resource"])


def test_another_report_has_other_identifiers():
    def identifiers(bundle):
        return {
            bundle["identifier"]["value"],
            *(entry["request"]["ifNoneExist"] for entry in bundle["entry"]),
        }

    assert not identifiers(bundle_of()) & identifiers(bundle_of(sop_instance_uid="2.25.5"))


def test_a_result_that_replaces_another_refers_to_it():
    earlier = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.REFUSAL, 1, CREATED_AT, None)
    first = resources(answer=REFUSAL, sop_instance_uid="2.25.7")
    for resource, replaced in zip(resources(predecessor=earlier), first, strict=True):
        (extension,) = resource["extension"]
        assert extension["url"].lower().endswith(f"/{resource['resourceType']}-replaces".lower())
        assert extension["valueReference"]["identifier"] in replaced["identifier"]
        assert "This replaces report 1 of the study, made on" in resource["text"]["div"]
        assert "extension" not in replaced


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_report_is_known_by_the_uid_of_the_structured_report(answer):
    _, report = resources(answer=ANSWERS[answer])
    assert report["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{REPORT_UID}"}
