"""A node with TLS as an administrator sets it up, by the commands of the document."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.node_process import NodeProcess, run
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.repository import REPOSITORY
from support.tls import Authority, orthanc_tls
from support.waiting import eventually

DOCUMENT = REPOSITORY / "docs" / "tls.md"


@pytest.fixture
def folder(tmp_path: Path, require_peer: Callable[[str], str]) -> Path:
    """A folder in which the document's commands have been run."""
    require_peer("openssl")
    commands = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("openssl ")]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    return tmp_path


def test_the_commands_of_the_document_make_a_node_that_is_called_over_tls_alone(
    folder: Path, sample_dicom: Path
) -> None:
    flags = ("--tls-certificate", folder / "node.pem", "--tls-key", folder / "node.key")
    ours = {
        "tls_certificate": str(folder / "node.pem"),
        "tls_key": str(folder / "node.key"),
        "tls_ca": str(folder / "ca.pem"),
    }
    with NodeProcess(folder / "node", "--role", "receiver", *flags, "--tls-ca", folder / "ca.pem") as node:
        answered = run("echo", f"BONEAGE@localhost:{node.port}/tls", **ours)
        assert answered.returncode == 0, answered.stderr
        sent = run(
            "replay", sample_dicom / "girl-08y-dx.dcm", "--to", f"BONEAGE@127.0.0.1:{node.port}/tls", **ours
        )
        assert sent.returncode == 0, sent.stderr
        without = run("echo", f"BONEAGE@localhost:{node.port}/tls", tls_ca=ours["tls_ca"])
        assert without.returncode == 1
        assert "wants a certificate of this node" in without.stderr
        plain = run("echo", f"BONEAGE@localhost:{node.port}")
        assert plain.returncode == 1
        assert "write /tls behind the port" in plain.stderr
        assert len(node.studies()) == 1
        assert {line.get("event") for line in node.log()} >= {"not TLS", "TLS handshake failed"}


def test_a_node_whose_files_will_not_do_does_not_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    expired = authority.sign("expired", valid_days=(-30, -1))
    for certificate, key, sentence in (
        (tmp_path / "gone.pem", expired.key, "cannot be read"),
        (expired.certificate, expired.key, "expired on"),
        (authority.sign("node").certificate, authority.sign("other").key, "does not belong to"),
    ):
        flags = ("--tls-certificate", certificate, "--tls-key", key)
        ended = run("start", "--role", "receiver", "--port", "0", "--data-dir", tmp_path / "data", *flags)
        assert ended.returncode == 8
        assert sentence in ended.stderr


def test_the_doctor_counts_the_days_that_are_left(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    for days, well in ((30, True), (5, False)):
        station = authority.sign(f"node-{days}", valid_days=(-1, days + 0.5))
        files = {"tls_certificate": str(station.certificate), "tls_key": str(station.key)}
        examined = run("doctor", "--data-dir", tmp_path / "data", "--json", reading_model="none", **files)
        (finding,) = [finding for finding in json.loads(examined.stdout) if finding["check"] == "TLS"]
        assert finding["ok"] is well
        assert f"{days} days" in finding["finding"]


def test_image_report_and_commitment_all_go_over_tls(
    orthanc_program: str, sample_dicom: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "hospital")
    ours, theirs = authority.sign("node"), authority.sign("pacs")
    port = free_port()
    with Orthanc(orthanc_program, tmp_path / "orthanc", **orthanc_tls(theirs, port, mutual=True)) as pacs:
        settings = {
            "tls_certificate": str(ours.certificate),
            "tls_key": str(ours.key),
            "tls_ca": str(ours.ca),
            "send_to": f"{pacs.destination}/tls",
            "request_commitment": "true",
        }
        with NodeProcess(tmp_path / "node", "--port", port, **settings) as node:
            pacs.store("node", [pacs.upload(sample_dicom / "girl-08y-dx.dcm")])
            shown = ("studies", "show", 1, "--json", "--data-dir", node.folder)
            eventually(lambda: [s["deliveries"] for s in node.studies()] == [{"done": 2}])
            eventually(
                lambda: (
                    {d["commitment"]["state"] for d in json.loads(run(*shown).stdout)["deliveries"]}
                    == {"committed"}
                )
            )
            (report,) = json.loads(run(*shown).stdout)["reports"]
            assert all(pacs.find(document["sop_instance_uid"]) for document in report["documents"])
