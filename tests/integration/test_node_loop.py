"""A PACS that sends on all that it gets: the node answers a study once, and then it is quiet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from support.node_process import NodeProcess, run
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.waiting import eventually

# Whatever arrives goes on at once, back to where it came from too, as routing rules for a modality do.
ROUTE_ALL = "function OnStoredInstance(instance, tags, metadata, origin) SendToModality(instance, 'node') end"


@pytest.fixture
def forms(sample_dicom: Path, tmp_path: Path) -> list[Path]:
    """A scanned request form of a study, and the same once more under another UID."""
    hand = dcmread(sample_dicom / "girl-08y-dx.dcm")
    files = []
    for number in range(2):
        form = Dataset()
        form.update({each.tag: each for each in hand if each.tag.group in (0x0010, 0x0020, 0x0028)})
        form.file_meta = hand.file_meta
        form.StudyDate, form.Modality, form.ConversionType = hand.StudyDate, "OT", "SD"
        form.SOPClassUID = form.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        form.SOPInstanceUID = form.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        form.SeriesInstanceUID = generate_uid()
        form.PixelData = bytes([255, 0] * (hand.Rows * hand.Columns))
        files.append(tmp_path / f"form-{number}.dcm")
        form.save_as(files[-1], enforce_file_format=True)
    return files


def shown(node: NodeProcess) -> dict[str, Any]:
    """The one study of the node, as ``studies show --json`` prints it."""
    printed = run("studies", "show", "1", "--json", "--data-dir", node.folder)
    assert printed.returncode == 0, printed.stderr
    study: dict[str, Any] = json.loads(printed.stdout)
    return study


def events(study: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in study["events"]]


def test_a_node_does_not_answer_its_own_answers(
    forms: list[Path], sample_dicom: Path, tmp_path: Path, orthanc_program: str
) -> None:
    port = free_port()
    route = tmp_path / "route.lua"
    route.write_text(ROUTE_ALL)
    pacs = Orthanc(
        orthanc_program,
        tmp_path / "pacs",
        modalities={"node": ("BONEAGE", "127.0.0.1", port)},
        LuaScripts=[str(route)],
    )
    with pacs, NodeProcess(tmp_path / "node", "--port", port, "--send-to", pacs.destination) as node:
        for number, file in enumerate([*forms, sample_dicom / "girl-08y-dx.dcm"]):
            pacs.upload(file)
            said = 2 if number == 2 else 1  # the form again is refused for the same cause
            study = eventually(
                lambda said=said, number=number: _at_rest(shown(node), images=number + 1, came_back=said)
            )
            assert len(study["reports"]) == said
            # A picture that comes back queues nothing, so that nothing more can follow from it.
            assert len(study["jobs"]) == number + 1
        assert study["state"] == "reported"
        assert {delivery["status"] for delivery in study["deliveries"]} == {"done"}
        assert len(pacs.get("/instances")) == 3 + 2 * 2, "images, and report and picture of each answer"


def _at_rest(study: dict[str, Any], *, images: int, came_back: int) -> dict[str, Any] | None:
    """The study, once so many images were read and so many own pictures have come back."""
    came = events(study)
    read = study["state"] in ("refused", "reported") and came.count("instance-received") == images
    return study if read and came.count("own-output-received") == came_back else None
