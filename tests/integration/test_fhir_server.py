"""FHIR with a server at the other end that takes nothing but R4."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ComprehensiveSRStorage
from support.fhir_server_peer import FhirServer
from support.node_process import NodeProcess, run
from support.report import (
    ASSESSMENT,
    BROKEN,
    CREATED_AT,
    NOTHING_KNOWN,
    READ_AS_BOTH,
    REFUSAL,
    SOUND,
    radiograph,
    report_of,
)
from support.waiting import eventually

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.exchange.destinations import parse
from boneage_node.net.calling import Caller
from boneage_node.report import (
    DeviceIdentity,
    Kind,
    Predecessor,
    fhir_bundle,
    json_bytes,
    report_instance_uid,
)
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Sent

Json = dict[str, Any]


def make(answer: Any = ASSESSMENT, **header: Any) -> Json:
    source = radiograph(**header)
    uid = report_instance_uid(source, answer, None, DeviceIdentity())
    return fhir_bundle(report_of(source, answer, sop_instance_uid=uid))


def send(server: FhirServer, *files: Path) -> list[Sent]:
    return list(parse(server.url, DocumentForm.FHIR).send(map(LocalFile, files), Caller("BONEAGE")))


def written(path: Path, bundle: Json) -> Path:
    path.write_bytes(json_bytes(bundle))
    return path


def with_resources(bundle: Json) -> list[Json]:
    return [bundle, *(entry["resource"] for entry in bundle["entry"])]


@pytest.mark.parametrize("header", [*SOUND, *BROKEN])
def test_every_header_makes_valid_r4(fhir_server: FhirServer, header: str) -> None:
    for resource in with_resources(make(**(SOUND | BROKEN)[header])):
        assert fhir_server.problems(resource) == []


@pytest.mark.parametrize(
    "answer", [NOTHING_KNOWN, READ_AS_BOTH, REFUSAL, *(Refusal(code, "<b>\x00&") for code in ReasonCode)]
)
def test_every_answer_makes_valid_r4(fhir_server: FhirServer, answer: Any) -> None:
    for resource in with_resources(make(answer, TimezoneOffsetFromUTC="+0930")):
        assert fhir_server.problems(resource) == []


@pytest.mark.parametrize("answer", [ASSESSMENT, REFUSAL])
def test_a_result_that_replaces_another_is_valid_r4(fhir_server: FhirServer, answer: Any) -> None:
    earlier = Predecessor(ComprehensiveSRStorage, "2.25.7", Kind.ASSESSMENT, 1, CREATED_AT, 98.4)
    for resource in with_resources(fhir_bundle(report_of(radiograph(), answer, predecessor=earlier))):
        assert fhir_server.problems(resource) == []


def _no_status(observation: Json) -> None:
    del observation["status"]


def _unknown_status(observation: Json) -> None:
    observation["status"] = "well"


def _value_and_reason(observation: Json) -> None:
    observation["dataAbsentReason"] = {"text": "none"}


def _device_nobody_refers_to(observation: Json) -> None:
    del observation["device"]


def _interval_upside_down(observation: Json) -> None:
    observation["component"][0]["valueRange"]["low"]["value"] = 500


def _code_of_no_system(observation: Json) -> None:
    del observation["valueQuantity"]["system"]


def _name_of_no_kind(observation: Json) -> None:
    observation["contained"][0]["deviceName"][0]["type"] = "nickname"


@pytest.mark.parametrize(
    "spoil",
    [
        _no_status,
        _unknown_status,
        _value_and_reason,
        _device_nobody_refers_to,
        _interval_upside_down,
        _code_of_no_system,
        _name_of_no_kind,
    ],
)
def test_the_server_would_notice(fhir_server: FhirServer, spoil: Callable[[Json], None]) -> None:
    observation = copy.deepcopy(make()["entry"][0]["resource"])
    spoil(observation)
    assert fhir_server.problems(observation)


def test_a_result_sent_twice_is_there_once(fhir_server: FhirServer, tmp_path: Path) -> None:
    bundle = make(StudyInstanceUID="1.2.3.1", PatientID="Ж-1", SpecificCharacterSet="ISO_IR 144")
    file = written(tmp_path / "a.json", bundle)
    twice = send(fhir_server, file, file)
    assert [sent.error for sent in twice] == [None, None]
    (report,) = fhir_server.search("DiagnosticReport?" + bundle["entry"][1]["request"]["ifNoneExist"])
    (observation,) = fhir_server.search("Observation?" + bundle["entry"][0]["request"]["ifNoneExist"])
    assert report["result"] == [{"reference": f"Observation/{observation['id']}"}]
    assert report["subject"]["identifier"]["value"] == "Ж-1"
    assert report["identifier"] == bundle["entry"][1]["resource"]["identifier"]


def test_what_a_person_made_of_a_result_is_not_overwritten(fhir_server: FhirServer, tmp_path: Path) -> None:
    bundle = make(StudyInstanceUID="1.2.3.2")
    file = written(tmp_path / "a.json", bundle)
    query = "DiagnosticReport?" + bundle["entry"][1]["request"]["ifNoneExist"]
    assert all(sent.delivered for sent in send(fhir_server, file))
    (report,) = fhir_server.search(query)
    fhir_server.update({**report, "status": "final", "conclusion": "Seen."})
    assert all(sent.delivered for sent in send(fhir_server, file))
    (report,) = fhir_server.search(query)
    assert (report["status"], report["conclusion"]) == ("final", "Seen.")


def test_what_the_server_does_not_take_is_not_sent_again(fhir_server: FhirServer, tmp_path: Path) -> None:
    bundle = make(StudyInstanceUID="1.2.3.3")
    bundle["entry"][1]["resource"]["status"] = "well"
    (sent,) = send(fhir_server, written(tmp_path / "a.json", bundle))
    assert sent.permanent
    assert sent.error is not None
    assert "HTTP status 400" in sent.error
    assert sent.remark is not None
    assert "DiagnosticReport.status" in sent.remark
    # all or nothing
    assert fhir_server.search("Observation?" + bundle["entry"][0]["request"]["ifNoneExist"]) == []


@pytest.mark.slow
def test_a_study_that_comes_in_goes_out_as_fhir(
    fhir_server: FhirServer, tmp_path: Path, sample_dicom: Path, storescu: Callable[..., Any]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    hand = sample_dicom / "girl-08y-dx.dcm"
    study = dcmread(hand, stop_before_pixels=True)
    with NodeProcess(tmp_path / "node", "--fhir-to", fhir_server.url, "--fhir-to", folder) as node:
        assert storescu(node.port, hand).returncode == 0
        (file,) = eventually(lambda: list(folder.glob("*.json")))
        query = json.loads(file.read_bytes())["entry"][1]["request"]["ifNoneExist"]
        (report,) = eventually(lambda: fhir_server.search(f"DiagnosticReport?{query}"))
        assert node.terminate() == 0
    assert report["subject"]["identifier"]["value"] == study.PatientID
    assert report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{study.StudyInstanceUID}"
    printed = run("assess", hand, "--fhir")
    assert printed.returncode == 0, printed.stderr
    told = json.loads(printed.stdout)["entry"][1]["resource"]
    assert told["conclusion"] == report["conclusion"]
