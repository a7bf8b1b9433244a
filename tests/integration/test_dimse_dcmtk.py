"""The receiver and the sender with DCMTK's programs at the other end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)
from support.dcmtk import Archive, Run
from support.dimse import data_set_bytes, make_radiograph, receiving, write_radiograph
from support.report import radiograph, report_of
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.contexts import RADIOGRAPHS, TRANSFER_SYNTAXES
from boneage_node.dimse.store_scu import echo, send
from boneage_node.exchange.c_store import CStore
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.report import to_bytes
from boneage_node.report.picture.capture import secondary_capture
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable

CALLER = Caller("BONEAGE")

PROPOSE_ONLY = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
}
"""storescu's option for each transfer syntax; it has none for general JPEG lossless: see PROFILE."""

PROFILE = """
[[TransferSyntaxes]]
[Lossless]
TransferSyntax1 = 1.2.840.10008.1.2.4.57
[[PresentationContexts]]
[Only]
PresentationContext1 = 1.2.840.10008.5.1.4.1.1.1\\Lossless
[[Profiles]]
[Only]
PresentationContexts = Only
"""


@contextmanager
def archive(storescp: Archive, folder: Path, *options: str) -> Iterator[Station]:
    """DCMTK's storage SCP, writing into a folder."""
    folder.mkdir()
    with storescp(*options, "-od", folder) as port:
        yield Station("STORESCP", "127.0.0.1", port)


def test_echoscu_is_answered_and_told_when_it_calls_another_station(tmp_path: Path, dcmtk: Run) -> None:
    with receiving(tmp_path) as (receiver, _):
        assert dcmtk("echoscu", "-aec", "BONEAGE", "127.0.0.1", receiver.port).returncode == 0
        wrong = dcmtk("echoscu", "-aec", "PACS", "127.0.0.1", receiver.port)
        assert wrong.returncode != 0
        assert "Called AE Title Not Recognized" in wrong.stderr


def test_a_modality_with_an_umlaut_in_its_title_gets_through(tmp_path: Path, dcmtk: Run) -> None:
    write_radiograph(tmp_path / "image.dcm")
    with receiving(tmp_path / "node", allowed_ae_titles=("R??NTGEN 1",)) as (receiver, sink):
        options = ("-aet", "RÖNTGEN 1", "-aec", "BONEAGE")  # in UTF-8
        sent = dcmtk("storescu", *options, "127.0.0.1", receiver.port, tmp_path / "image.dcm")
        assert sent.returncode == 0, sent.stderr
    assert [received.calling_ae_title for received in sink.accepted] == ["R??NTGEN 1"]


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_every_transfer_syntax_arrives_as_it_was_sent(tmp_path: Path, dcmtk: Run, syntax: str) -> None:
    file = tmp_path / "image.dcm"
    write_radiograph(file, syntax)
    option: list[object] = [PROPOSE_ONLY.get(syntax, "-xf")]
    if syntax == "1.2.840.10008.1.2.4.57":
        (tmp_path / "profile.cfg").write_text(PROFILE)
        option = ["-xf", tmp_path / "profile.cfg", "Only"]
    with receiving(tmp_path) as (receiver, sink):
        sent = dcmtk("storescu", *option, "-aec", "BONEAGE", "127.0.0.1", receiver.port, file)
        assert sent.returncode == 0, sent.stderr
        (received,) = sink.accepted
        assert received.transfer_syntax_uid == syntax
        assert data_set_bytes(sink.files()[0]) == data_set_bytes(file)


def test_every_radiograph_class_is_taken_and_a_whole_study_settles_at_once(
    tmp_path: Path, dcmtk: Run
) -> None:
    files = []
    study = make_radiograph().StudyInstanceUID
    for number, sop_class in enumerate(RADIOGRAPHS):
        files.append(tmp_path / f"{number}.dcm")
        write_radiograph(files[-1], SOPClassUID=sop_class, StudyInstanceUID=study)
    with receiving(tmp_path, quiet_seconds=3600) as (receiver, sink):
        sent = dcmtk("storescu", "-aec", "BONEAGE", "127.0.0.1", receiver.port, *files)
        assert sent.returncode == 0, sent.stderr
        assert [received.sop_class_uid for received in sink.accepted] == list(RADIOGRAPHS)
        assert eventually(lambda: sink.released) == [{1}]
        assert sink.store.intake.settle() == 1


def test_other_objects_are_rejected_when_the_association_is_negotiated(tmp_path: Path, dcmtk: Run) -> None:
    file = tmp_path / "ct.dcm"
    write_radiograph(file, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    with receiving(tmp_path) as (receiver, sink):
        sent = dcmtk("storescu", "-aec", "BONEAGE", "127.0.0.1", receiver.port, file)
        assert sent.returncode != 0
        assert "No presentation context" in sent.stderr
        assert sink.files() == []


def test_storescu_is_told_the_status(tmp_path: Path, dcmtk: Run) -> None:
    file = tmp_path / "image.dcm"
    write_radiograph(file, StudyInstanceUID=None)
    with receiving(tmp_path) as (receiver, sink):
        sent = dcmtk("storescu", "-v", "-aec", "BONEAGE", "127.0.0.1", receiver.port, file)
        assert "Error: CannotUnderstand" in sent.stdout + sent.stderr
        assert sink.files() == []


def test_several_senders_at_once_all_get_through(tmp_path: Path, require_peer: Callable[[str], str]) -> None:
    storescu = require_peer("dcmtk")
    for sender in range(4):
        (tmp_path / str(sender)).mkdir()
        for number in range(5):
            write_radiograph(tmp_path / str(sender) / f"{number}.dcm")
    with receiving(tmp_path) as (receiver, sink):
        command = [storescu, "-aec", "BONEAGE", "127.0.0.1", str(receiver.port), "+sd"]
        processes = [subprocess.Popen([*command, str(tmp_path / str(sender))]) for sender in range(4)]
        assert [process.wait(timeout=PATIENCE_SECONDS) for process in processes] == [0] * 4
        assert len(sink.files()) == 20


@pytest.mark.parametrize(
    ("option", "written", "received"),
    [
        ("+xi", ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        ("+xi", ImplicitVRLittleEndian, ImplicitVRLittleEndian),
        ("+xe", ExplicitVRLittleEndian, ExplicitVRLittleEndian),
        ("+xa", ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        ("+xa", RLELossless, RLELossless),
        ("+xa", JPEGLosslessSV1, JPEGLosslessSV1),
    ],
)
def test_uncompressed_files_are_converted_where_the_peer_takes_no_other(
    tmp_path: Path, storescp: Archive, option: str, written: str, received: str
) -> None:
    file = tmp_path / "image.dcm"
    image = write_radiograph(file, written)
    with archive(storescp, tmp_path / "received", "-B", option) as destination:
        (sent,) = send(destination, [LocalFile(file)], CALLER)
        assert (sent.delivered, sent.status) == (True, 0)
    (kept,) = (tmp_path / "received").iterdir()
    arrived = dcmread(kept)
    assert arrived.file_meta.TransferSyntaxUID == received
    assert arrived.PatientName == image.PatientName
    assert arrived.PixelData == dcmread(file).PixelData


def test_what_the_peer_does_not_take_fails_for_good_and_the_rest_goes_on(
    tmp_path: Path, storescp: Archive
) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(3)]
    write_radiograph(files[0])
    write_radiograph(files[1], JPEG2000Lossless)
    write_radiograph(files[2])
    with archive(storescp, tmp_path / "received", "+x=") as destination:
        first, second, third = send(destination, map(LocalFile, files), CALLER)
    assert first.delivered
    assert third.delivered
    assert (second.delivered, second.permanent, second.status) == (False, True, 0x0122)
    assert second.error is not None
    assert "JPEG 2000 Image Compression (Lossless Only)" in second.error


@pytest.mark.parametrize(
    ("option", "received"),
    [("+xa", JPEG2000Lossless), ("+x=", ExplicitVRLittleEndian), ("+xi", ImplicitVRLittleEndian)],
    ids=["takes all", "uncompressed alone", "implicit alone"],
)
def test_a_picture_goes_compressed_to_whom_takes_it_so_and_decompressed_to_others(
    tmp_path: Path, storescp: Archive, option: str, received: str
) -> None:
    shown = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    capture = secondary_capture(report_of(radiograph()), Image.fromarray(shown))
    file = LocalFile(tmp_path / "picture.dcm")
    file.path.write_bytes(to_bytes(capture))
    with archive(storescp, tmp_path / "received", option) as destination:
        (sent,) = CStore(destination).send([file], CALLER)
    assert sent.delivered
    (came,) = [dcmread(path) for path in (tmp_path / "received").iterdir()]
    assert came.file_meta.TransferSyntaxUID == received
    assert came.SOPInstanceUID == capture.SOPInstanceUID
    assert came.PatientName == radiograph().PatientName
    assert (came.pixel_array == shown).all()


def test_a_peer_that_takes_none_of_them_fails_each(tmp_path: Path, storescp: Archive) -> None:
    file = tmp_path / "image.dcm"
    write_radiograph(file, JPEGBaseline8Bit)
    with archive(storescp, tmp_path / "received", "+x=") as destination:
        (sent,) = send(destination, [LocalFile(file)], CALLER)
    assert (sent.permanent, sent.status) == (True, 0x0122)


def test_a_peer_that_refuses_everybody_says_so(storescp: Archive) -> None:
    with storescp("--refuse") as port, pytest.raises(Unreachable) as caught:
        echo(Station("STORESCP", "127.0.0.1", port), CALLER)
    assert f"127.0.0.1:{port} rejects the association" in str(caught.value)
