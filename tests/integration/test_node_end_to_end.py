"""A radiograph goes in by C-STORE from DCMTK, a report comes back into Orthanc."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.uid import ComprehensiveSRStorage
from safetensors.torch import load_file, save_file
from support.node_process import NodeProcess, run
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.postgresql import PostgreSQL
from support.validators import assert_clean_in_dciodvfy, assert_clean_in_dsrdump, assert_clean_in_pixelmed
from support.waiting import eventually

from boneage_node.bone_age import model_zoo
from boneage_node.bone_age.manifest import file_sha256

Send = Callable[..., subprocess.CompletedProcess[str]]

HANDS = ("girl-08y-dx.dcm", "boy-09y-dx-right.dcm", "girl-06y-dx-jpeg2000.dcm", "boy-15y-cr.dcm")


@pytest.fixture
def hands(sample_dicom: Path) -> list[Path]:
    return [sample_dicom / name for name in HANDS]


def found(pacs: Orthanc, modality: str) -> list[Dataset]:
    """Every instance of a modality in the PACS."""
    identifiers = pacs.post("/tools/find", {"Level": "Instance", "Query": {"Modality": modality}})
    return [dcmread(BytesIO(pacs.get_bytes(f"/instances/{identifier}/file"))) for identifier in identifiers]


def reports(pacs: Orthanc) -> list[Dataset]:
    """Every structured report in the PACS."""
    return found(pacs, "SR")


def study_of(file: Path) -> str:
    return str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)


def numbers(report: Dataset) -> dict[str, float]:
    """The measurements of a report, by the meaning of their concept."""
    values = {}
    waiting = [report]
    while waiting:
        item = waiting.pop()
        if item.get("ValueType") == "NUM":
            values[item.ConceptNameCodeSequence[0].CodeMeaning] = float(
                item.MeasuredValueSequence[0].NumericValue
            )
        waiting.extend(item.get("ContentSequence", []))
    return values


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_report_lands_beside_the_image(
    engine: str,
    hands: list[Path],
    tmp_path: Path,
    orthanc: Orthanc,
    storescu: Send,
    request: pytest.FixtureRequest,
) -> None:
    settings = {}
    if engine == "postgresql":
        cluster: PostgreSQL = request.getfixturevalue("postgresql")
        settings["storage_database_url"] = cluster.new_database()
    orthanc.upload(hands[0])
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, **settings) as node:
        sent = storescu(node.port, *hands)
        assert sent.returncode == 0, sent.stderr
        eventually(lambda: len(reports(orthanc)) == len(found(orthanc, "OT")) == len(hands))
        assert node.terminate() == 0
    by_study = {str(report.StudyInstanceUID): report for report in reports(orthanc)}
    assert by_study.keys() == {study_of(hand) for hand in hands}
    image, report = dcmread(hands[0]), by_study[study_of(hands[0])]
    assert report.PatientID == image.PatientID
    assert 0 < numbers(report)["XR Bone age"] < 240
    assert numbers(report)["Subject Age"] == pytest.approx(99, abs=0.5)
    (study,) = orthanc.post(
        "/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": study_of(hands[0])}}
    )
    modalities = [series["MainDicomTags"]["Modality"] for series in orthanc.get(f"/studies/{study}/series")]
    assert sorted(modalities) == ["DX", "OT", "SR"]


@pytest.mark.slow
def test_reports_from_the_pacs_satisfy_the_validators(
    hands: list[Path],
    sample_dicom: Path,
    tmp_path: Path,
    orthanc: Orthanc,
    storescu: Send,
    require_peer: Callable[[str], str],
) -> None:
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination) as node:
        assert storescu(node.port, hands[0], sample_dicom / "chest-07y-dx.dcm").returncode == 0
        eventually(lambda: len(reports(orthanc)) == len(found(orthanc, "OT")) == 2)
    for report in reports(orthanc):
        file = tmp_path / f"{report.SOPInstanceUID}.dcm"
        report.save_as(file, enforce_file_format=True)
        assert_clean_in_dsrdump(file, require_peer)
        if report.SOPClassUID == ComprehensiveSRStorage:
            assert_clean_in_dciodvfy(file, "ComprehensiveSR", require_peer)
            assert_clean_in_pixelmed(file, require_peer)
        else:
            assert_clean_in_dciodvfy(file, "BasicTextSR", require_peer)
    (picture,) = [picture for picture in found(orthanc, "OT") if picture.Laterality]  # not the refusal's
    picture.save_as(file, enforce_file_format=True)
    assert_clean_in_dciodvfy(file, "SCImage", require_peer)


def test_the_report_of_a_later_study_tells_of_the_earlier_one_while_it_is_the_patients(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    later = dcmread(hands[0])
    later.StudyInstanceUID, later.SeriesInstanceUID, later.SOPInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    year, rest = int(later.StudyDate[:4]) + 1, later.StudyDate[4:]
    later.StudyDate = later.SeriesDate = later.AcquisitionDate = later.ContentDate = f"{year}{rest}"
    later.file_meta.MediaStorageSOPInstanceUID = later.SOPInstanceUID
    later.save_as(tmp_path / "later.dcm")
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination) as node:
        for count, file in enumerate((hands[0], tmp_path / "later.dcm"), 1):
            assert storescu(node.port, file).returncode == 0
            eventually(lambda count=count: len(reports(orthanc)) == count)
        (earlier,) = [s["result"]["earlier"] for s in node.studies() if s["result"]["earlier"]]
        before = {str(report.SOPInstanceUID) for report in reports(orthanc)}
        of_another = dcmread(hands[0])
        of_another.PatientID = "PUT-RIGHT"
        of_another.save_as(tmp_path / "corrected.dcm")
        assert storescu(node.port, tmp_path / "corrected.dcm").returncode == 0
        # Of the corrected study, and of the one that told of it.
        eventually(lambda: len(reports(orthanc)) == 4)
        assert not any(s["result"]["earlier"] for s in node.studies())
    assert earlier["bone_age_months_per_month"] == 0  # the same hand a year later
    of_later = [report for report in reports(orthanc) if report.StudyInstanceUID == "2.25.1"]
    told, told_anew = sorted(of_later, key=lambda report: report.SOPInstanceUID not in before)
    since = f"Bone age since {earlier['since']}: +0.0 months in"
    said = [
        " ".join(str(element.value) for element in report.iterall() if element.keyword == "TextValue")
        for report in (told, told_anew)
    ]
    assert [since in text for text in said] == [True, False], said


def test_a_study_read_again_by_another_model_has_a_report_that_says_it_replaces_the_first(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    other = tmp_path / "other-model"
    shutil.copytree(model_zoo.model_dir(), other)
    manifest = json.loads((other / "manifest.json").read_text())
    weights = other / manifest["weights"]["file"]
    save_file(load_file(weights), weights, metadata={"said": "other bytes, hence another model"})
    manifest["weights"]["sha256"] = file_sha256(weights)
    (other / "manifest.json").write_text(json.dumps(manifest))
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination) as node:
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: len(reports(orthanc)) == len(found(orthanc, "OT")) == 1)
        node.terminate()
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, "--model", other) as node:
        assert run("studies", "reread", "1", "--data-dir", node.folder).returncode == 0
        eventually(lambda: len(reports(orthanc)) == len(found(orthanc, "OT")) == 2)
    first, second = sorted(reports(orthanc), key=lambda report: int(report.InstanceNumber))
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert second.SeriesDescription == "Bone age 2 (AI), replaces 1"
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == first.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert numbers(first) == numbers(second)


def test_a_refusal_says_why(sample_dicom: Path, tmp_path: Path, orthanc: Orthanc, storescu: Send) -> None:
    refused = [sample_dicom / "chest-07y-dx.dcm", sample_dicom / "no-sex-10y-dx.dcm"]
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination) as node:
        assert storescu(node.port, *refused).returncode == 0
        eventually(lambda: len(reports(orthanc)) == 2)
        assert {s["result"]["reason"] for s in node.studies()} == {"not-a-hand", "sex-unknown"}
        assert {s["state"] for s in node.studies()} == {"refused"}


def test_refusals_stay_here_where_so_set(
    sample_dicom: Path, tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    with NodeProcess(
        tmp_path / "node", "--send-to", orthanc.destination, report_send_refusals="false"
    ) as node:
        assert (
            storescu(
                node.port, sample_dicom / "chest-07y-dx.dcm", sample_dicom / "girl-08y-dx.dcm"
            ).returncode
            == 0
        )
        eventually(lambda: {s["state"] for s in node.studies()} == {"refused", "reported"})
        eventually(lambda: reports(orthanc))
        assert [str(r.StudyInstanceUID) for r in reports(orthanc)] == [
            study_of(sample_dicom / "girl-08y-dx.dcm")
        ]


def test_the_same_image_again_is_not_reported_again(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination) as node:
        for _ in range(2):
            assert storescu(node.port, hands[0]).returncode == 0
            eventually(lambda: [s["state"] for s in node.studies()] == ["reported"])
        (study,) = node.studies()
        assert study["instances"] == 1
        assert study["deliveries"] == {"done": 2}  # report and picture
    assert len(reports(orthanc)) == 1


def assert_each_sent_once(node: NodeProcess, orthanc: Orthanc, hands: list[Path]) -> None:
    eventually(
        lambda: len(reports(orthanc)) == len(hands) and all(s["state"] == "reported" for s in node.studies())
    )
    assert sorted(str(r.StudyInstanceUID) for r in reports(orthanc)) == sorted(map(study_of, hands))
    assert all(study["deliveries"] == {"done": 2} for study in node.studies())


def read_once(node: NodeProcess) -> Any:
    return next((line for line in node.log() if line.get("event") == "study read"), None)


def test_a_worker_killed_at_work_loses_nothing(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, reading_lease_seconds="2") as node:
        assert storescu(node.port, *hands).returncode == 0
        eventually(lambda: read_once(node))
        os.kill(node.process_ids()["worker-0"], signal.SIGKILL)
        assert_each_sent_once(node, orthanc, hands)
        assert any(line.get("event") == "process ended" for line in node.log())


def test_a_node_killed_at_work_goes_on_where_it_was(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    node = NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, reading_lease_seconds="2")
    assert storescu(node.port, *hands).returncode == 0
    eventually(lambda: read_once(node))
    node.kill()
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, reading_lease_seconds="2") as again:
        assert_each_sent_once(again, orthanc, hands)
        assert again.terminate() == 0


def test_children_end_with_their_supervisor(tmp_path: Path) -> None:
    with NodeProcess(tmp_path / "node") as node:
        children = node.process_ids().values()
        assert len(children) == 3
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


def test_reports_wait_for_a_pacs_that_is_away(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    orthanc.stop()
    with NodeProcess(
        tmp_path / "node",
        "--send-to",
        orthanc.destination,
        delivery_base_seconds="0.5",
        delivery_cap_seconds="1",
    ) as node:
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: any(line.get("event") == "report not delivered" for line in node.log()))
        orthanc.start()
        eventually(lambda: len(reports(orthanc)) == 1)


def test_a_dead_letter_is_seen_and_sent_and_what_the_pacs_lost_is_sent_again(
    hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    orthanc.stop()
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, delivery_max_attempts="1") as node:
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: [s["deliveries"] for s in node.studies()] == [{"dead": 2}])
        assert run("doctor", "--data-dir", node.folder).returncode == 1
        orthanc.start()
        data_dir = ("--data-dir", node.folder)
        assert run("studies", "retry", "--destination", orthanc.destination, *data_dir).returncode == 0
        eventually(lambda: [s["deliveries"] for s in node.studies()] == [{"done": 2}])
        assert run("studies", "retry", "1", *data_dir).returncode == 1
        orthanc.delete_all()
        assert run("studies", "resend", "1", *data_dir).returncode == 0
        eventually(lambda: len(reports(orthanc)) == 1)


def test_no_log_line_bears_patient_data(
    hands: list[Path], sample_dicom: Path, tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    marked = []
    for file in (hands[0], sample_dicom / "chest-07y-dx.dcm"):
        image = dcmread(file)
        image.PatientName, image.PatientID, image.AccessionNumber = (
            "SECRETNAME^MARKED",
            "SECRETID",
            "SECRETACC",
        )
        # invalid: what libraries say of it must not be logged either
        with disable_value_validation():
            image.PatientBirthDate = "SECRET08"
        marked.append(tmp_path / file.name)
        image.save_as(marked[-1])
    with NodeProcess(tmp_path / "node", "--send-to", orthanc.destination, logs_level="debug") as node:
        assert storescu(node.port, *marked).returncode == 0
        eventually(lambda: len(reports(orthanc)) == 2)
        node.terminate()
        log = node.log_file.read_text()
    secrets = ["SECRET", *(str(dcmread(file, stop_before_pixels=True).StudyInstanceUID) for file in marked)]
    assert [line for line in log.splitlines() if any(secret in line for secret in secrets)] == []
    names = [str(path.relative_to(node.folder)) for path in node.folder.rglob("*")]
    assert not any(secret in name for name in names for secret in secrets)


def test_exit_statuses_say_what_is_wrong(tmp_path: Path) -> None:
    assert run("start", "--ae-title", "LONGER_THAN_SIXTEEN").returncode == 2
    assert run("start", "--host", "0.0.0.0", "--data-dir", tmp_path / "a").returncode == 3
    nobody = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none"
    no_database = run("start", "--database-url", nobody, "--data-dir", tmp_path / "b")
    assert no_database.returncode == 9
    assert "database" in no_database.stderr
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "boneage.sqlite3").write_bytes(b"garbage" * 1000)
    garbage = run("start", "--data-dir", tmp_path / "e", "--log-format", "json")
    assert garbage.returncode == 5
    assert json.loads(garbage.stderr.splitlines()[-1])["event"] == "node cannot start"
    no_model = run("start", "--model", "no-such-model", "--port", free_port(), "--data-dir", tmp_path / "c")
    assert no_model.returncode == 6
    assert "no-such-model" in no_model.stderr
    no_device = run("start", "--device", "cuda:99", "--port", "0", "--data-dir", tmp_path / "f")
    assert no_device.returncode == 6
    events = [json.loads(line)["event"] for line in no_device.stderr.splitlines()]
    assert events[-1] == "node cannot start"
    assert "listening" not in events
    with NodeProcess(tmp_path / "node") as node:
        in_use = run("start", "--port", node.port, "--data-dir", tmp_path / "d")
        assert in_use.returncode == 4
        assert str(node.port) in in_use.stderr
        assert run("start", "--port", "0", "--data-dir", node.folder).returncode == 7
