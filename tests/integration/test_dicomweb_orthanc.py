"""STOW-RS with Orthanc at the other end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from support.dimse import write_radiograph
from support.node_process import NodeProcess, run
from support.orthanc_peer import Orthanc
from support.waiting import eventually

from boneage_node.dicomweb.query import probe
from boneage_node.dicomweb.stow import send
from boneage_node.exchange.stow_rs import StowRs
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.traffic.file import LocalFile

Send = Callable[..., subprocess.CompletedProcess[str]]

LOGIN = ("alice", "wonder")


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A netrc file with Orthanc's login."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login {} password {}\n".format(*LOGIN))
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    return path


def kept(pacs: Orthanc, study_instance_uid: str) -> list[str]:
    """The modalities of a study's instances in the PACS, sorted."""
    query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_instance_uid}}
    found = pacs.post("/tools/find", query)
    return sorted(pacs.get(f"/instances/{identifier}/simplified-tags")["Modality"] for identifier in found)


def test_orthanc_takes_files_and_takes_them_twice(tmp_path: Path, orthanc: Orthanc) -> None:
    files = [tmp_path / "1.dcm", tmp_path / "2.dcm"]
    images = [write_radiograph(file) for file in files]
    for _ in range(2):
        assert [one.error for one in send(HttpClient(orthanc.dicom_web), map(LocalFile, files))] == [
            None,
            None,
        ]
    assert all(orthanc.find(str(image.SOPInstanceUID)) for image in images)
    assert probe(HttpClient(orthanc.dicom_web)) > 0
    said = StowRs(orthanc.dicom_web).probe(Caller("BONEAGE"), [SecondaryCaptureImageStorage])
    assert said.endswith("and takes STOW-RS")
    (refused,) = send(HttpClient(orthanc.url), [LocalFile(files[0])])
    assert refused.error is not None
    assert "check the path of the base URL" in refused.error


def test_orthanc_says_what_it_cannot_keep(tmp_path: Path, orthanc: Orthanc) -> None:
    file = tmp_path / "1.dcm"
    write_radiograph(file, PatientID=None, StudyInstanceUID=None)
    (sent,) = send(HttpClient(orthanc.dicom_web), [LocalFile(file)])
    assert not sent.delivered


def test_reports_land_beside_the_image_once_orthanc_is_up_again(
    sample_dicom: Path, tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    hand = sample_dicom / "girl-08y-dx.dcm"
    study = str(dcmread(hand, stop_before_pixels=True).StudyInstanceUID)
    orthanc.upload(hand)
    orthanc.stop()
    flags = ("--send-to", orthanc.dicom_web + "/")
    with NodeProcess(tmp_path / "node", *flags, delivery_base_seconds="1", delivery_cap_seconds="2") as node:
        assert storescu(node.port, hand).returncode == 0
        (failed, *_) = eventually(
            lambda: [line for line in node.log() if line.get("event") == "report not delivered"]
        )
        assert failed["destination"] == orthanc.dicom_web
        assert failed["problem"].startswith(f"Nothing listens on 127.0.0.1:{orthanc.http_port}: ")
        asked = run("echo", orthanc.dicom_web)
        assert (asked.returncode, failed["problem"] in asked.stderr) == (1, True)
        orthanc.start()
        eventually(lambda: "SR" in kept(orthanc, study))
        eventually(lambda: not any(s["deliveries"].get("todo") for s in node.studies()))
        assert kept(orthanc, study)[0] == "DX"
        assert node.terminate() == 0
        assert study not in node.log_file.read_text()


def test_orthanc_with_a_login_wants_that_of_netrc(
    sample_dicom: Path, tmp_path: Path, orthanc_program: str, storescu: Send, netrc: Path
) -> None:
    hand = sample_dicom / "girl-08y-dx.dcm"
    study = str(dcmread(hand, stop_before_pixels=True).StudyInstanceUID)
    right = netrc.read_text()
    netrc.write_text(right.replace(LOGIN[1], "S3CRET"))
    with Orthanc(orthanc_program, tmp_path / "orthanc", login=LOGIN) as pacs:
        wrong = run("echo", pacs.dicom_web)
        assert wrong.returncode == 1
        assert "does not accept the login and password that the netrc file has" in wrong.stderr
        flags = ("--send-to", pacs.dicom_web)
        with NodeProcess(
            tmp_path / "node", *flags, delivery_base_seconds="1", delivery_cap_seconds="2"
        ) as node:
            assert storescu(node.port, hand).returncode == 0
            eventually(lambda: any("netrc" in line.get("problem", "") for line in node.log()))
            assert kept(pacs, study) == []
            netrc.write_text(right)
            eventually(lambda: "SR" in kept(pacs, study))
        assert run("echo", pacs.dicom_web).returncode == 0
    assert not any(secret in node.log_file.read_text() for secret in ("S3CRET", *LOGIN))
