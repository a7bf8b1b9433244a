"""``boneage-node fetch`` with Orthanc as the PACS, by C-MOVE and by WADO-RS."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, generate_uid
from support.command_line import run
from support.node_process import NodeProcess
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.tls import Authority, orthanc_tls
from support.waiting import eventually

from boneage_node.store import NoSuchStudy, Store, StudyState

WAYS = ("dimse", "web")
AT_REST = (StudyState.REPORTED, StudyState.REFUSED, StudyState.SET_ASIDE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that is running; what it reads is sent nowhere."""
    port = free_port()
    with NodeProcess(tmp_path_factory.mktemp("node") / "node", "--port", port) as node:
        yield node


@pytest.fixture(scope="module")
def pacs(
    node: NodeProcess, orthanc_program: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    """A PACS that knows the node."""
    modalities = {"node": ("BONEAGE", "127.0.0.1", node.port)}
    folder = tmp_path_factory.mktemp("pacs")
    with Orthanc(
        orthanc_program, folder, modalities=modalities, DicomAlwaysAllowFind=True, DicomAlwaysAllowMove=True
    ) as pacs:
        yield pacs


@pytest.fixture(autouse=True)
def empty(pacs: Orthanc) -> Iterator[None]:
    yield
    pacs.delete_all()


def fetch(
    node: NodeProcess | int, pacs: Orthanc, way: str, *flags: object, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command; the settings of the node, or its port alone, are told by environment."""
    source = pacs.destination if way == "dimse" else pacs.dicom_web
    port = node if isinstance(node, int) else node.port
    folder = "/nowhere" if isinstance(node, int) else str(node.folder)
    settings |= {"listening_port": str(port), "storage_data_dir": folder}
    return run("fetch", "--from", source, *flags, **settings)


def upload(pacs: Orthanc, sample: Path, folder: Path, **elements: str) -> Dataset:
    """Put a sample into the PACS, as it is or as another image."""
    image = dcmread(sample)
    if elements:
        uids = {keyword: str(generate_uid()) for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
        for keyword, value in (uids | elements).items():
            setattr(image, keyword, value)
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        sample = folder / f"{image.SOPInstanceUID}.dcm"
        image.save_as(sample)
    pacs.upload(sample)
    return image


def open_store(node: NodeProcess) -> Store:
    """The store of a node that is running."""
    return Store.open(f"sqlite:///{node.folder}/boneage.sqlite3", node.folder / "spool", migrate=False)


@pytest.mark.parametrize(
    ("way", "key", "sample"),
    [
        ("dimse", "--accession", "girl-08y-dx.dcm"),
        ("dimse", "--study", "girl-06y-dx-jpeg2000.dcm"),
        ("web", "--accession", "boy-09y-dx-right.dcm"),
        ("web", "--study", "girl-11y-cr-rotated.dcm"),
    ],
)
def test_a_study_is_fetched_and_read(
    way: str, key: str, sample: str, node: NodeProcess, pacs: Orthanc, sample_dicom: Path, tmp_path: Path
) -> None:
    image = upload(pacs, sample_dicom / sample, tmp_path)
    study = str(image.StudyInstanceUID)
    done = fetch(node, pacs, way, key, image.AccessionNumber if key == "--accession" else study)
    assert done.returncode == 0, done.stderr
    assert f"Study {study} of 2024-03-15: 1 series to fetch." in done.stdout
    assert f"The node has taken 1 image. To follow it: boneage-node studies show {study}" in done.stdout
    assert str(image.PatientName) not in done.stdout + done.stderr
    assert "PHANTOM-0" not in (done.stdout + done.stderr).replace(str(image.AccessionNumber), "")
    with open_store(node) as store:
        detail = eventually(lambda: (d := store.studies.show(study)).state in AT_REST and d)
        assert detail.state is StudyState.REPORTED
        assert len(detail.reports) == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_radiograph_is_named_and_left_out(
    way: str, node: NodeProcess, pacs: Orthanc, sample_dicom: Path, tmp_path: Path
) -> None:
    hand = sample_dicom / "boy-15y-cr.dcm"
    study = str(generate_uid())
    for elements in (
        {"Modality": "CR"},
        {"Modality": "CR"},
        {"Modality": "CT", "SOPClassUID": str(CTImageStorage)},
    ):
        upload(pacs, hand, tmp_path, StudyInstanceUID=study, **elements)
    done = fetch(node, pacs, way, "--study", study)
    assert done.returncode == 0, done.stderr
    assert "2 series to fetch; left out: CT." in done.stdout
    assert "The node has taken 2 images." in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_all_studies_of_an_accession_number_are_fetched_if_they_are_of_one_patient(
    way: str, node: NodeProcess, pacs: Orthanc, sample_dicom: Path, tmp_path: Path
) -> None:
    hand = sample_dicom / "girl-01y6m-cr.dcm"
    accession = f"TWO-{way}"
    studies = [str(generate_uid()) for _ in range(2)]
    for study in studies:
        upload(pacs, hand, tmp_path, StudyInstanceUID=study, AccessionNumber=accession)
    done = fetch(node, pacs, way, "--accession", accession)
    assert done.returncode == 0, done.stderr
    assert all(f"studies show {study}" in done.stdout for study in studies)
    upload(pacs, hand, tmp_path, StudyInstanceUID="1.2.3", AccessionNumber=accession, PatientID="OTHER")
    ambiguous = fetch(node, pacs, way, "--accession", accession)
    assert ambiguous.returncode == 1
    assert "Studies of several patients" in ambiguous.stderr
    assert "1.2.3 (20240315)" in ambiguous.stderr
    assert "OTHER" not in ambiguous.stderr


@pytest.mark.parametrize("way", WAYS)
def test_an_accession_number_is_taken_letter_by_letter(
    way: str, node: NodeProcess, pacs: Orthanc, sample_dicom: Path, tmp_path: Path
) -> None:
    hand = sample_dicom / "girl-01y6m-cr.dcm"
    study, *others = (str(generate_uid()) for _ in range(4))
    character_set = {"SpecificCharacterSet": "ISO_IR 100"}
    upload(pacs, hand, tmp_path, StudyInstanceUID=study, AccessionNumber="*Mü?1", **character_set)
    for uid, other in zip(others, ("XMü-1", "*Mü?12", "*MÜ?1"), strict=True):
        upload(pacs, hand, tmp_path, StudyInstanceUID=uid, AccessionNumber=other, **character_set)
    done = fetch(node, pacs, way, "--accession", "*Mü?1")
    assert done.returncode == 0, done.stderr
    assert f"The node has taken 1 image. To follow it: boneage-node studies show {study}" in done.stdout
    assert not any(uid in done.stdout for uid in others)


def test_a_pacs_that_says_it_is_done_before_it_sends_is_waited_for(
    node: NodeProcess, orthanc_program: str, sample_dicom: Path, tmp_path: Path
) -> None:
    modalities = {"node": ("BONEAGE", "127.0.0.1", node.port)}
    allowed = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True, "SynchronousCMove": False}
    study = str(generate_uid())
    with Orthanc(orthanc_program, tmp_path / "pacs", modalities=modalities, **allowed) as hasty:
        for _ in range(3):
            upload(hasty, sample_dicom / "girl-01y6m-cr.dcm", tmp_path, StudyInstanceUID=study)
        done = fetch(node, hasty, "dimse", "--study", study)
    assert done.returncode == 0, done.stderr
    assert "The node has taken 3 images." in done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_there_or_no_radiograph_fails(
    way: str, node: NodeProcess, pacs: Orthanc, sample_dicom: Path, tmp_path: Path
) -> None:
    gone = fetch(node, pacs, way, "--accession", "NOSUCH")
    assert gone.returncode == 1
    assert "The PACS has no such study" in gone.stderr
    ct = {"Modality": "CT", "SOPClassUID": str(CTImageStorage), "StudyInstanceUID": "1.2.4"}
    upload(pacs, sample_dicom / "boy-15y-cr.dcm", tmp_path, **ct)
    none = fetch(node, pacs, way, "--study", "1.2.4")
    assert none.returncode == 1
    assert "0 series to fetch; left out: CT." in none.stdout
    with open_store(node) as store, pytest.raises(NoSuchStudy):
        store.studies.show("1.2.4")


def test_a_pacs_that_does_not_know_the_node_says_what_mends_it(
    orthanc_program: str, sample_dicom: Path, tmp_path: Path
) -> None:
    hand = sample_dicom / "boy-15y-cr.dcm"
    study = str(dcmread(hand, stop_before_pixels=True).StudyInstanceUID)
    port = free_port()
    allowed = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True}
    elsewhere = {"modalities": {"node": ("BONEAGE", "127.0.0.1", free_port())}}
    with socket.create_server(("127.0.0.1", port)):
        station = "check that it has this node as a station, with its AE title BONEAGE, host and port"
        cases = [
            ({}, "check that it lets BONEAGE query and retrieve"),
            (allowed, station),
            (elsewhere, station),
        ]
        for number, (configuration, sentence) in enumerate(cases):
            with Orthanc(orthanc_program, tmp_path / str(number), **configuration) as stranger:
                stranger.upload(hand)
                done = fetch(port, stranger, "dimse", "--study", study)
            assert done.returncode == 1
            assert sentence in done.stderr


def test_both_ways_go_over_tls_where_the_node_has_a_certificate(
    orthanc_program: str, sample_dicom: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "hospital")
    ours, theirs = authority.sign("node"), authority.sign("pacs")
    files = {"tls_certificate": str(ours.certificate), "tls_key": str(ours.key), "tls_ca": str(ours.ca)}
    port = free_port()
    configuration = orthanc_tls(theirs, port, mutual=True)
    with (
        NodeProcess(tmp_path / "node", "--role", "receiver", "--port", port, **files),
        Orthanc(orthanc_program, tmp_path / "orthanc", **configuration) as pacs,
    ):
        for source, name in (
            (pacs.destination + "/tls", "boy-15y-cr.dcm"),
            (pacs.dicom_web, "girl-08y-dx.dcm"),
        ):
            study = str(dcmread(sample_dicom / name, stop_before_pixels=True).StudyInstanceUID)
            pacs.upload(sample_dicom / name)
            done = run("fetch", "--from", source, "--study", study, listening_port=str(port), **files)
            assert done.returncode == 0, done.stderr
            assert "The node has taken 1 image." in done.stdout


def test_a_node_that_does_not_run_is_found_out_first(pacs: Orthanc) -> None:
    for way in WAYS:
        done = fetch(free_port(), pacs, way, "--accession", "A1")
        assert done.returncode == 1
        assert "The node is not running at 127.0.0.1:" in done.stderr
