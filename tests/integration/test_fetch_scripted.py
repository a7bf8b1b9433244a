"""``boneage-node fetch`` by C-MOVE from PACS that say little, or what is not so, of what they have sent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from support.command_line import run
from support.dimse import write_radiograph
from support.node_process import NodeProcess
from support.ports import free_port, listens
from support.scripted_pacs import FindAnswer, MoveAnswer, scripted_pacs
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.store_scu import send
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import LocalFile


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that takes images in."""
    folder = tmp_path_factory.mktemp("node") / "node"
    with NodeProcess(folder, "--port", free_port(), "--role", "receiver") as node:
        yield node


def fetch(node: NodeProcess, source: object, *flags: object) -> subprocess.CompletedProcess[str]:
    settings = {"listening_port": str(node.port), "storage_data_dir": str(node.folder)}
    return run("fetch", "--from", source, *flags, waits_connect_seconds="2", **settings)


def moving(
    node: NodeProcess, folder: Path, answers: Callable[[Callable[[], None]], list[MoveAnswer]], images: str
) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Fetch a study of one image from a PACS; gives its UID and what the command said.

    Args:
        node: The node.
        folder: Where its image is kept.
        answers: Makes the answers to the C-MOVE of what sends the image.
        images: How many images the PACS says that the series has; empty where it does not say.
    """
    image = write_radiograph(folder / "1.dcm")

    def send_image() -> None:
        station = Station("BONEAGE", "127.0.0.1", node.port)
        (sent,) = send(station, [LocalFile(folder / "1.dcm")], Caller("PACS"))
        assert sent.delivered

    def find(asked: Dataset) -> list[FindAnswer]:
        found = Dataset()
        found.StudyInstanceUID = image.StudyInstanceUID
        if asked.QueryRetrieveLevel == "SERIES":
            found.SeriesInstanceUID, found.Modality = image.SeriesInstanceUID, "CR"
            found.NumberOfSeriesRelatedInstances = images
        return [(0xFF00, found), (0x0000, None)]

    with scripted_pacs(find, answers(send_image)) as pacs:
        done = fetch(node, pacs.station, "--study", image.StudyInstanceUID)
    assert pacs.destinations == ["BONEAGE"]
    return str(image.StudyInstanceUID), done


@pytest.mark.parametrize("images", ["1", ""])
@pytest.mark.parametrize(
    "answers",
    [
        lambda send_image: [MoveAnswer(0x0000, before=send_image)],
        lambda send_image: [MoveAnswer(0xFF00, {"Completed": 1}, before=send_image), MoveAnswer(0x0000)],
        lambda send_image: [MoveAnswer(0xB000, {"Warning": 1, "Failed": 0}, before=send_image)],
        lambda send_image: [MoveAnswer(0xB000, before=send_image)],
    ],
    ids=["no numbers", "numbers in pending answers alone", "a warning", "a warning, of what is not said"],
)
def test_an_image_that_is_in_is_fetched_whatever_the_pacs_says_of_it(
    answers: Callable[[Callable[[], None]], list[MoveAnswer]], images: str, node: NodeProcess, tmp_path: Path
) -> None:
    study, done = moving(node, tmp_path, answers, images)
    assert done.returncode == 0, done.stderr
    assert f"The node has taken 1 image. To follow it: boneage-node studies show {study}" in done.stdout


def test_an_image_that_is_not_in_is_not_fetched_whatever_the_pacs_says(
    node: NodeProcess, tmp_path: Path
) -> None:
    _, done = moving(node, tmp_path, lambda _: [MoveAnswer(0x0000, {"Completed": 1, "Failed": 0})], "1")
    assert done.returncode == 1
    assert "the node has 0 of 1 images" in done.stderr
    _, done = moving(node, tmp_path, lambda send: [MoveAnswer(0x0000, before=send)], "2")
    assert done.returncode == 1
    assert "the node has 1 of 2 images" in done.stderr
    assert "The node has taken 1 image." in done.stdout


def test_what_came_before_a_failure_is_told(node: NodeProcess, tmp_path: Path) -> None:
    _, done = moving(node, tmp_path, lambda send: [MoveAnswer(0xC001, before=send)], "1")
    assert done.returncode == 1
    assert "cannot process the request (status 0xC001)" in done.stderr
    assert "The node has taken 1 image." in done.stdout


@pytest.fixture
def dcmqrscp(
    node: NodeProcess, require_peer: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., str]]:
    """DCMTK's archive; puts files into it, and gives it as ``fetch --from`` names it."""
    folder = Path(require_peer("dcmtk")).parent
    kept, port = tmp_path / "archive", free_port()
    kept.mkdir()
    configuration = tmp_path / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = (BONEAGE, 127.0.0.1, {node.port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {kept} RW (200, 1024mb) ANY\nAETable END\n"
    )
    process = subprocess.Popen([str(folder / "dcmqrscp"), "-c", str(configuration)])

    def archive(*files: Path) -> str:
        command = [str(folder / "storescu"), "-aec", "ARCHIVE", "127.0.0.1", str(port), *map(str, files)]
        subprocess.run(command, check=True, timeout=PATIENCE_SECONDS)
        return f"ARCHIVE@127.0.0.1:{port}"

    try:
        eventually(lambda: process.poll() is not None or listens(port))
        assert process.poll() is None, "dcmqrscp ended by itself"
        yield archive
    finally:
        process.kill()
        process.wait()


def test_studies_are_fetched_from_dcmtks_archive(
    node: NodeProcess, dcmqrscp: Callable[..., str], tmp_path: Path
) -> None:
    study, number = str(generate_uid()), "Mü*1"
    series = [str(generate_uid()) for _ in range(2)]
    files = [tmp_path / f"{name}.dcm" for name in range(4)]
    for file, uid, modality in zip(files, [*series, series[0]], ["CR", "CR", "CR"], strict=False):
        elements = {"SpecificCharacterSet": "ISO_IR 100", "AccessionNumber": number, "StudyDate": "20240315"}
        write_radiograph(file, StudyInstanceUID=study, SeriesInstanceUID=uid, Modality=modality, **elements)
    other = {"SpecificCharacterSet": "ISO_IR 100", "AccessionNumber": "Mü-11"}
    write_radiograph(files[3], **other)
    image = dcmread(files[0])
    image.Modality, image.SeriesInstanceUID, image.SOPInstanceUID = "MR", generate_uid(), generate_uid()
    write_radiograph(tmp_path / "5.dcm", image=image)
    source = dcmqrscp(*files, tmp_path / "5.dcm")

    done = fetch(node, source, "--accession", number)

    assert done.returncode == 0, done.stderr
    assert f"Study {study} of 2024-03-15: 2 series to fetch; left out: MR." in done.stdout
    assert "The node has taken 3 images." in done.stdout
