"""The receiver and the sender with Orthanc at the other end."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from support.dimse import receiving, write_radiograph
from support.orthanc_peer import Orthanc
from support.ports import free_port

from boneage_node.dimse.store_scu import echo, send
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable

CALLER = Caller("BONEAGE")


def test_orthanc_sends_and_gets_back(tmp_path: Path, orthanc_program: str) -> None:
    port = free_port()
    files = [tmp_path / "plain.dcm", tmp_path / "implicit.dcm", tmp_path / "jpeg2000.dcm"]
    images = [
        write_radiograph(files[0]),
        write_radiograph(files[1], ImplicitVRLittleEndian),
        write_radiograph(files[2], JPEG2000Lossless),
    ]
    modalities = {"node": ("BONEAGE", "127.0.0.1", port)}
    with (
        Orthanc(orthanc_program, tmp_path / "orthanc", modalities=modalities) as pacs,
        receiving(tmp_path, port=port) as (_, sink),
    ):
        pacs.store("node", [pacs.upload(file) for file in files])
        assert sorted(received.sop_instance_uid for received in sink.accepted) == sorted(
            image.SOPInstanceUID for image in images
        )
        assert {received.calling_ae_title for received in sink.accepted} == {"ORTHANC"}
        pacs.delete_all()
        sent = list(send(Station.parse(pacs.destination), map(LocalFile, sink.files()), CALLER))
        assert [one.error for one in sent] == [None] * 3
        for image in images:
            found = pacs.find(image.SOPInstanceUID)
            assert found is not None
            assert pacs.get(f"/instances/{found}/simplified-tags")["PatientName"] == image.PatientName


def test_orthanc_that_knows_its_name_rejects_another(tmp_path: Path, orthanc_program: str) -> None:
    with Orthanc(orthanc_program, tmp_path / "orthanc", DicomCheckCalledAet=True) as pacs:
        assert echo(Station.parse(pacs.destination), CALLER) > 0
        with pytest.raises(Unreachable, match="it is not called PACS; use the AE title"):
            echo(Station("PACS", "127.0.0.1", pacs.dicom_port), CALLER)


def test_orthanc_that_was_down_takes_the_same_file_later(tmp_path: Path, orthanc_program: str) -> None:
    file = tmp_path / "image.dcm"
    image = write_radiograph(file)
    pacs = Orthanc(orthanc_program, tmp_path / "orthanc")
    destination = Station.parse(pacs.destination)
    (sent,) = send(destination, [LocalFile(file)], CALLER)
    assert (sent.delivered, sent.permanent, sent.status) == (False, False, None)
    assert sent.error == (
        f"Nothing listens on 127.0.0.1:{pacs.dicom_port}: start the station there, or correct the port."
    )
    with pacs:
        for _ in range(2):
            (sent,) = send(destination, [LocalFile(file)], CALLER)
            assert sent.delivered, "twice is the same object"
        assert pacs.find(image.SOPInstanceUID) is not None
