"""The sender with a peer that answers what a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from support.dimse import CR, VERIFICATION, data_set_bytes, receiving, write_radiograph, write_raw
from support.ports import free_port
from support.waiting import PATIENCE_SECONDS

from boneage_node.dimse.store_scu import MAX_CONTEXTS, echo, refused_classes, send
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller, Waits
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable

CALLER = Caller("BONEAGE")

Answer = Callable[[evt.Event], int | Dataset]


@contextmanager
def peer(answer: Answer, sop_classes: list[str] | None = None, **settings: Any) -> Iterator[Station]:
    """A storage SCP that answers each C-STORE as told."""
    ae = AE(ae_title="PEER")
    for name, value in settings.items():
        setattr(ae, name, value)
    for sop_class in sop_classes or [CR]:
        ae.add_supported_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    try:
        yield Station("PEER", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


@pytest.fixture
def files(tmp_path: Path) -> list[LocalFile]:
    files = [LocalFile(tmp_path / f"{number}.dcm") for number in range(3)]
    for file in files:
        write_radiograph(file.path)
    return files


def test_a_batch_goes_over_one_association_in_order(files: list[LocalFile]) -> None:
    calls: list[tuple[int, str]] = []

    def answer(event: evt.Event) -> int:
        calls.append((id(event.assoc), event.request.AffectedSOPInstanceUID))
        return 0

    with peer(answer) as destination:
        sent = list(send(destination, files, CALLER))
    assert [one.file for one in sent] == files
    assert all(one.delivered for one in sent)
    assert len({association for association, _ in calls}) == 1


@pytest.mark.parametrize(
    ("status", "delivered", "permanent"),
    [
        (0x0000, True, False),
        (0xB000, True, False),
        (0x0111, True, False),
        (0xA700, False, False),
        (0x0124, False, False),
        (0xA900, False, True),
        (0xC123, False, True),
        (0x0122, False, True),
    ],
)
def test_each_status_is_delivered_or_fails_for_now_or_for_good(
    files: list[LocalFile], status: int, delivered: bool, permanent: bool
) -> None:
    with peer(lambda _: status) as destination:
        sent = list(send(destination, files, CALLER))
    assert {(one.status, one.delivered, one.permanent) for one in sent} == {(status, delivered, permanent)}


def test_what_a_peer_says_of_what_it_took_is_a_warning(files: list[LocalFile]) -> None:
    def answer(_: evt.Event) -> Dataset:
        said = Dataset()
        said.Status, said.OffendingElement, said.ErrorComment = 0xB000, [0x00100010, 0x00100020], "renamed"
        return said

    with peer(answer) as destination:
        (sent,) = send(destination, files[:1], CALLER)
    assert sent.delivered
    assert sent.warning is not None
    assert "coercion" in sent.warning
    assert sent.remark == "(0010,0010); (0010,0020); renamed"


def test_what_a_peer_says_of_a_failure_is_a_remark(files: list[LocalFile]) -> None:
    def answer(_: evt.Event) -> Dataset:
        said = Dataset()
        said.Status, said.ErrorComment = 0xC000, "no such patient"
        return said

    with peer(answer) as destination:
        (sent,) = send(destination, files[:1], CALLER)
    assert (sent.permanent, sent.remark) == (True, "no such patient")


def test_no_storage_at_all_may_pass_and_one_class_refused_does_not(files: list[LocalFile]) -> None:
    with peer(lambda _: 0, [VERIFICATION]) as destination:
        sent = list(send(destination, files, CALLER))
        assert not any(one.delivered or one.permanent for one in sent)
        assert {one.error for one in sent} == {
            f"{destination} takes the association, but no object at all: allow BONEAGE to store there, and "
            "look into its log."
        }
        with pytest.raises(Unreachable, match="no object at all"):
            refused_classes(destination, [CR], CALLER)
    with peer(lambda _: 0, [SecondaryCaptureImageStorage]) as destination:
        sent = list(send(destination, files, CALLER))
        assert all(one.permanent and one.status == 0x0122 for one in sent)
        assert refused_classes(destination, [CR, SecondaryCaptureImageStorage], CALLER) == [CR]


def test_a_peer_that_aborts_in_the_middle_fails_that_file_alone(files: list[LocalFile]) -> None:
    answers = iter([0, None, 0])

    def answer(event: evt.Event) -> int:
        status = next(answers)
        if status is None:
            event.assoc.abort()
        return status or 0

    with peer(answer) as destination:
        first, second, third = send(destination, files, CALLER)
    assert first.delivered
    assert (second.delivered, second.permanent, second.status) == (False, False, None)
    assert third.delivered


def test_a_peer_that_never_answers_is_given_up(files: list[LocalFile]) -> None:
    release = threading.Event()

    def answer(_: evt.Event) -> int:
        release.wait(PATIENCE_SECONDS)
        return 0

    with peer(answer) as destination:
        (sent,) = send(destination, files[:1], Caller("BONEAGE", waits=Waits(answer_seconds=2.0)))
        release.set()
    assert (sent.delivered, sent.permanent) == (False, False)
    assert sent.error is not None
    assert "did not answer within 2 s (waits.answer_seconds)" in sent.error


def test_files_that_are_no_dicom_fail_for_good_and_those_that_are_not_there_for_now(
    tmp_path: Path, files: list[LocalFile]
) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    bad = [LocalFile(path) for path in (tmp_path / "gone.dcm", tmp_path / "text.dcm", tmp_path)]
    with peer(lambda _: 0) as destination:
        sent = {one.file: one for one in send(destination, [bad[0], files[0], *bad[1:]], CALLER)}
    assert sent[files[0]].delivered
    assert [sent[file].permanent for file in bad] == [False, True, False]  # a disk may be away
    assert not any(sent[file].delivered for file in bad)


def test_more_kinds_than_an_association_negotiates_take_two(tmp_path: Path) -> None:
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    assert len(classes) > MAX_CONTEXTS
    files = []
    for number, sop_class in enumerate(classes):
        files.append(LocalFile(tmp_path / f"{number}.dcm"))
        write_radiograph(files[-1].path, SOPClassUID=sop_class)
    associations: set[int] = set()
    with peer(lambda event: associations.add(id(event.assoc)) or 0, classes) as destination:
        sent = list(send(destination, files, CALLER))
    assert [one.file for one in sent] == files
    assert all(one.delivered for one in sent)
    assert len(associations) == 2


def test_a_data_set_goes_byte_for_byte(tmp_path: Path) -> None:
    file = LocalFile(tmp_path / "image.dcm")
    data_set = b"what no library would write"
    write_raw(file.path, data_set, ExplicitVRLittleEndian)
    came: list[bytes] = []

    def answer(event: evt.Event) -> int:
        came.append(data_set_bytes(Path(event.dataset_path)))
        return 0

    with peer(answer) as destination:
        (sent,) = send(destination, [file], CALLER)
    assert sent.delivered
    assert came == [data_set]


def test_a_file_that_is_converted_keeps_its_own_data_set(tmp_path: Path) -> None:
    files = [LocalFile(tmp_path / f"{number}.dcm") for number in range(3)]
    syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRLittleEndian]
    pairs = zip(files, syntaxes, strict=True)
    uids = [write_radiograph(file.path, syntax).SOPInstanceUID for file, syntax in pairs]
    came: list[str] = []

    def answer(event: evt.Event) -> int:
        came.append(dcmread(event.dataset_path).SOPInstanceUID)
        return 0

    with peer(answer) as destination:
        assert all(sent.delivered for sent in send(destination, files, CALLER))
    assert came == uids


def test_a_peer_of_one_byte_pdus_does_no_harm(files: list[LocalFile]) -> None:
    with peer(lambda _: 0, maximum_pdu_size=6) as destination:
        sent = list(send(destination, files, Caller("BONEAGE", waits=Waits(answer_seconds=3.0))))
    assert all(one.delivered for one in sent), "in PDUs as short as they can be"


def test_nobody_there_is_said_in_a_sentence(files: list[LocalFile]) -> None:
    hurried = Caller("BONEAGE", waits=Waits(connect_seconds=1.0))

    def problem(host: str, port: int) -> str:
        destination = Station("PEER", host, port)
        with pytest.raises(Unreachable) as caught:
            echo(destination, hurried)
        (sent,) = send(destination, files[:1], hurried)
        assert (sent.status, sent.permanent, sent.error) == (None, False, str(caught.value))
        return str(caught.value)

    closed = free_port()
    assert problem("127.0.0.1", closed).startswith(f"Nothing listens on 127.0.0.1:{closed}")
    assert problem("no.such.host.invalid", 104).startswith("The host name no.such.host.invalid is not known")
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert "does not answer as DICOM" in problem("127.0.0.1", mute.getsockname()[1])


def test_a_peer_that_knows_neither_name_says_which(files: list[LocalFile]) -> None:
    with peer(lambda _: 0, require_called_aet=True) as destination:
        stranger = Station("OTHER", destination.host, destination.port)
        with pytest.raises(Unreachable, match="it is not called OTHER"):
            echo(stranger, CALLER)
    with (
        peer(lambda _: 0, require_calling_aet=["CR1"]) as destination,
        pytest.raises(Unreachable, match="it does not know the calling AE title BONEAGE"),
    ):
        echo(destination, CALLER)


def test_a_peer_that_is_full_may_take_it_later(tmp_path: Path, files: list[LocalFile]) -> None:
    with receiving(tmp_path, max_associations=0) as (receiver, _):
        (sent,) = send(Station("BONEAGE", "127.0.0.1", receiver.port), files[:1], Caller("PEER"))
    assert (sent.status, sent.permanent) == (None, False)
    assert sent.error is not None
    assert "as many associations as it takes" in sent.error
