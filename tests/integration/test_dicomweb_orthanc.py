"""STOW-RS with Orthanc at the other end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dimse_help import write_radiograph
from orthanc_peer import DICOM_WEB_PLUGIN, Orthanc

from boneage_node.dicomweb.query import probe
from boneage_node.dicomweb.stow import send

Send = Callable[..., subprocess.CompletedProcess[str]]

LOGIN = ("alice", "wonder")


@pytest.fixture(scope="session")
def orthanc_program(require_peer: Callable[[str], str]) -> str:
    program = require_peer("orthanc")
    if not DICOM_WEB_PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb plugin is not installed")
    return program


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
        assert [one.error for one in send(orthanc.dicom_web, files)] == [None, None]
    assert all(orthanc.find(str(image.SOPInstanceUID)) for image in images)
    assert probe(orthanc.dicom_web) > 0
    (sent,) = send(orthanc.url, files[:1])
    assert sent.error is not None
    assert "check the path of the base URL" in sent.error


def test_orthanc_says_what_it_cannot_keep(tmp_path: Path, orthanc: Orthanc) -> None:
    file = tmp_path / "1.dcm"
    write_radiograph(file, PatientID=None, StudyInstanceUID=None)
    (sent,) = send(orthanc.dicom_web, [file])
    assert not sent.delivered
