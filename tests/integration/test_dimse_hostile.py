"""A scripted peer does to the receiver, byte for byte, what a broken or hostile one does."""

from __future__ import annotations

import errno
import gc
import io
import logging
import resource
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_AC
from support.dimse import (
    ABORT,
    COMMAND,
    CR,
    DATA,
    ECHO_ONLY,
    LAST_COMMAND,
    LAST_DATA,
    PATIENT,
    RELEASE_REQUEST,
    RESET,
    VERIFICATION,
    RawPeer,
    Watched,
    associate_request,
    can_send,
    command,
    connect,
    data_set_bytes,
    echo,
    element,
    encode,
    is_closed,
    make_radiograph,
    p_data,
    patient_receiving,
    receiving,
    store_request,
    thread_count,
)
from support.ports import listens
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.store_scp import Receiver
from boneage_node.dimse.wire import server
from boneage_node.dimse.wire.bounds import MAX_PDU_BYTES, Limits
from boneage_node.traffic.received import NotAcceptable

UNCOMPRESSED = [ImplicitVRLittleEndian]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[Receiver, Watched]]:
    with patient_receiving(tmp_path) as running:
        yield running


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """All that reaches the root logger, as an ordinary set-up of logging would write it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def assert_unharmed(node: tuple[Receiver, Watched]) -> None:
    """It answers C-ECHO, has let go of everybody, and nothing is left half-received."""
    receiver, sink = node
    with RawPeer(receiver.port) as peer:
        assert echo(peer.associate(ECHO_ONLY)) == 0
    eventually(lambda: receiver.open_association_count == 0)
    assert sink.incoming() == []


def test_an_image_is_kept_byte_for_byte_behind_a_blank_preamble(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    image = make_radiograph()
    with RawPeer(receiver.port) as peer:
        assert peer.associate().store(image).Status == 0
    (file,) = sink.files()
    assert data_set_bytes(file) == encode(image)
    assert file.read_bytes()[:132] == bytes(128) + b"DICM"
    (received,) = sink.accepted
    assert received.sop_instance_uid == image.SOPInstanceUID
    assert received.study_instance_uid == image.StudyInstanceUID
    assert received.transfer_syntax_uid == ImplicitVRLittleEndian
    assert received.calling_ae_title == "PEER"
    assert file.name != f"{image.SOPInstanceUID}.dcm"
    assert_unharmed(node)


@pytest.mark.parametrize(
    "uid",
    ["../../../../tmp/evil", "/etc/passwd", "1.2/3", "1.2\x00.3", PATIENT, "a" * 64, "1" * 65, "2" * 200],
)
def test_no_bad_uid_of_a_request_comes_near_a_path(node: tuple[Receiver, Watched], uid: str) -> None:
    receiver, sink = node
    image = make_radiograph()
    data = element(8, 0x16, CR.encode()) + element(8, 0x18, uid.encode())
    data += element(0x20, 0x0D, b"1.2.3") + element(0x20, 0x0E, b"1.2.4")
    with RawPeer(receiver.port) as peer:
        peer.associate()
        peer.send(p_data((1, LAST_COMMAND, store_request(image, sop_instance_uid=uid))))
        peer.send(p_data((1, LAST_DATA, data)))
        answer = peer.read_pdu()
        assert answer is not None
        # A failure, or the association's end where the request itself is too bad to be answered.
        assert answer[0] == 7 or b"\x00\xc0" in answer
    assert sink.files() == []
    assert sink.accepted == []
    assert_unharmed(node)


@pytest.mark.parametrize(
    ("data", "request_uids", "status", "comment"),
    [
        ({"StudyInstanceUID": None}, {}, 0xC000, "StudyInstanceUID is missing or not a UID"),
        ({"SeriesInstanceUID": ""}, {}, 0xC000, "SeriesInstanceUID is missing or not a UID"),
        ({"SOPInstanceUID": "1.2.3"}, {}, 0xC000, "SOPInstanceUID differs from that of the request"),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            {},
            0xA900,
            "SOPClassUID differs from that of the request",
        ),
        (
            {},
            {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"},
            0x0122,
            "The SOP class is not that of the context",
        ),
        ({}, {"sop_class_uid": VERIFICATION}, 0x0122, "The SOP class is not that of the context"),
        ({}, {"sop_class_uid": "1.2.3"}, 0x0122, "The SOP class is not that of the context"),
    ],
)
def test_each_cause_has_its_status(
    node: tuple[Receiver, Watched],
    data: dict[str, str | None],
    request_uids: dict[str, str],
    status: int,
    comment: str,
) -> None:
    receiver, sink = node
    image = make_radiograph()
    other = make_radiograph(**{"SOPInstanceUID": image.SOPInstanceUID, **data})
    with RawPeer(receiver.port) as peer:
        answer = peer.associate().store(image, encode(other), **request_uids)
        assert (answer.Status, answer.ErrorComment) == (status, comment)
        assert peer.store(image).Status == 0, "the association goes on"
    assert len(sink.files()) == 1
    assert_unharmed(node)


def test_what_cannot_be_parsed_is_not_understood(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    image = make_radiograph()
    with RawPeer(receiver.port) as peer:
        peer.associate()
        for data in [b"\xff" * 999, encode(image)[:33], b"\0\0\0\0\0\0\0\0" * 9]:
            assert peer.store(image, data).Status == 0xC000
    assert sink.files() == []
    assert_unharmed(node)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 0xA700),
        (RuntimeError("database is locked"), 0xA700),
        (NotAcceptable("not a UID"), 0xC000),
    ],
)
def test_what_the_store_does_not_keep_is_not_acknowledged(
    node: tuple[Receiver, Watched], fault: Exception, status: int
) -> None:
    receiver, sink = node
    image = make_radiograph()
    sink.fault = fault
    with RawPeer(receiver.port) as peer:
        assert peer.associate().store(image).Status == status
        sink.fault = None
        assert peer.store(image).Status == 0
    assert_unharmed(node)


def test_a_data_set_beyond_the_limit_is_refused_and_does_not_grow_on_disk(tmp_path: Path) -> None:
    with receiving(tmp_path, limits=Limits(max_instance_bytes=2**20, reserve_bytes=0)) as node:
        receiver, sink = node
        image = make_radiograph()
        with RawPeer(receiver.port) as peer:
            peer.associate()
            peer.send(p_data((1, LAST_COMMAND, store_request(image))))
            for _ in range(64):
                peer.send(p_data((1, DATA, bytes(2**16))))
            eventually(lambda: sink.incoming() == [])
            peer.send(p_data((1, LAST_DATA, bytes(2))))
            answer = peer.read_answer()
            assert (answer.Status, answer.ErrorComment) == (
                0xA700,
                "The data set is larger than this node takes in",
            )
            assert peer.store(image).Status == 0
        assert_unharmed(node)


def test_a_disk_that_is_nearly_full_takes_nothing_in(tmp_path: Path) -> None:
    with receiving(tmp_path, limits=Limits(reserve_bytes=2**60)) as node:
        receiver, sink = node
        with RawPeer(receiver.port) as peer:
            answer = peer.associate().store(make_radiograph())
            assert (answer.Status, answer.ErrorComment) == (0xA700, "The disk is full")
        assert sink.files() == []
        assert_unharmed(node)


def test_a_folder_that_is_gone_is_out_of_resources(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    image = make_radiograph()
    incoming = sink.store.spool.incoming_dir
    with RawPeer(receiver.port) as peer:
        peer.associate()
        incoming.rmdir()
        answer = peer.store(image)
        assert (answer.Status, answer.ErrorComment) == (0xA700, "The data set cannot be written")
        incoming.mkdir()
        assert peer.store(image).Status == 0
    assert_unharmed(node)


def test_a_pdu_of_four_gigabytes_is_cut_off_at_once(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    piece, sent = bytes(2**20), 0
    with RawPeer(receiver.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BxL", 4, 2**32 - 1))
        with suppress(OSError):
            while sent < 2**29:
                peer.send(piece)
                sent += len(piece)
    assert sent < 2**26, "no more than what sockets buffer"
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown_bytes < 2**26
    assert_unharmed(node)


@pytest.mark.parametrize("length", [2**32 - 1, 2**20, 0])
def test_an_association_request_of_absurd_length_is_aborted(
    node: tuple[Receiver, Watched], length: int
) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(struct.pack(">BxL", 1, length))
        answer = peer.read_pdu()
        assert answer is not None
        assert answer[0] == 7
        assert peer.is_closed()
    assert_unharmed(node)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        p_data((1, LAST_COMMAND, command(0x0030, has_data_set=False))),
        ABORT,
        RELEASE_REQUEST,
        associate_request().replace(b"\x50\x00\x00", b"\x50\x00\x77", 1),
        associate_request()[:74] + b"\x10\x00\xff\xff" + associate_request()[78:],
        struct.pack(">BxL", 1, 80) + bytes(80),
    ],
)
def test_what_is_no_association_request_is_turned_away(node: tuple[Receiver, Watched], first: bytes) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(first)
        assert peer.is_closed()
    assert_unharmed(node)


@pytest.mark.parametrize(
    "message",
    [
        p_data((1, LAST_DATA, b"1234")),
        p_data((1, DATA, bytes(2**19))),
        p_data((1, LAST_COMMAND, command(0x8001))),
        p_data((1, LAST_COMMAND, command(0x0020, sop_class_uid=CR))),
        p_data((1, LAST_COMMAND, command(0x0100, has_data_set=False, sop_class_uid=CR))),
        p_data((1, LAST_COMMAND, command(0x0001, has_data_set=False, sop_class_uid=CR))),
        p_data((1, LAST_COMMAND, command(0x0030, has_data_set=True, sop_class_uid=VERIFICATION))),
        p_data((1, LAST_COMMAND, b"\xff" * 64)),
        p_data((1, LAST_COMMAND, b"")),
        p_data((3, LAST_COMMAND, command(0x0030, has_data_set=False, sop_class_uid=VERIFICATION))),
        p_data(*[(1, COMMAND, bytes(2**13))] * 4),
        p_data((1, LAST_COMMAND, store_request(make_radiograph())), (1, COMMAND, b"\0")),
        b"\x04\x00\x00\x00\x00\x05\x00\x00\x00\x02\x01",  # a PDV that ends before its data
        b"\x04\x00\x00\x00\x00\x05\x00\x00\x00\x01\x01",  # a PDV without a message control header
        b"\x04\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # a PDV without anything
        b"\x09\x00\x00\x00\x00\x00",  # a PDU of no known type
        associate_request(),
    ],
)
def test_what_no_peer_may_say_ends_the_association(node: tuple[Receiver, Watched], message: bytes) -> None:
    receiver, sink = node
    with RawPeer(receiver.port) as peer:
        peer.associate()
        peer.send(message)
        assert peer.is_closed()
    assert sink.accepted == []
    assert_unharmed(node)


def test_event_reports_by_the_thousand_start_no_threads(
    node: tuple[Receiver, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, _ = node
    report = command(0x0100, has_data_set=False, sop_class_uid=CR, sop_instance_uid="1.2.3")
    report += element(0, 0x1002, b"\1\0")  # EventTypeID
    started: list[str] = []
    with RawPeer(receiver.port) as peer:
        peer.associate()
        with monkeypatch.context() as patch:
            start = threading.Thread.start
            patch.setattr(
                threading.Thread, "start", lambda thread: started.append(thread.name) or start(thread)
            )
            peer.send(p_data(*[(1, LAST_COMMAND, report)] * 1000))
            assert peer.is_closed()
    assert started == []
    assert_unharmed(node)


def test_requests_without_waiting_for_answers_end_the_association_and_leave_no_file(
    node: tuple[Receiver, Watched],
) -> None:
    receiver, sink = node
    gone = threading.Event()
    sink.before_accept = lambda: gone.wait(PATIENCE_SECONDS)
    with RawPeer(receiver.port) as peer:
        peer.associate()
        for _ in range(50):
            image = make_radiograph()
            request, data = store_request(image), encode(image)
            try:
                peer.send(p_data((1, LAST_COMMAND, request), (1, LAST_DATA, data)))
            except OSError:
                break
        assert peer.is_closed()
    gone.set()
    eventually(lambda: receiver.open_association_count == 0)
    assert len(sink.accepted) <= 10
    assert_unharmed(node)


def test_a_command_may_come_in_pieces(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    image = make_radiograph()
    request, data = store_request(image), encode(image)
    with RawPeer(receiver.port) as peer:
        peer.associate()
        pieces = [(1, COMMAND, bytes([byte])) for byte in request[:-1]] + [(1, LAST_COMMAND, request[-1:])]
        pieces += [(1, DATA, bytes([byte])) for byte in data] + [(1, LAST_DATA, b"")]
        peer.send(p_data(*pieces))
        assert peer.read_answer().Status == 0
    assert data_set_bytes(sink.files()[0]) == data
    assert_unharmed(node)


def test_a_pdu_of_the_announced_length_is_taken(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    image = make_radiograph(PixelData=bytes(MAX_PDU_BYTES - 1200), Rows=1)
    data = encode(image)
    data_length = MAX_PDU_BYTES - 6
    with RawPeer(receiver.port) as peer:
        peer.associate()
        peer.send(p_data((1, LAST_COMMAND, store_request(image))))
        peer.send(p_data((1, DATA, data[:data_length])))
        peer.send(p_data((1, LAST_DATA, data[data_length:])))
        assert peer.read_answer().Status == 0
    assert data_set_bytes(sink.files()[0]) == data


@pytest.mark.parametrize("end", [ABORT, b""])
def test_a_sender_that_dies_in_the_middle_leaves_no_trace(node: tuple[Receiver, Watched], end: bytes) -> None:
    receiver, sink = node
    with RawPeer(receiver.port) as peer:
        peer.associate()
        assert peer.store(make_radiograph()).Status == 0
        peer.send(p_data((1, LAST_COMMAND, store_request(make_radiograph()))))
        peer.send(p_data((1, DATA, bytes(2**15))))
        eventually(lambda: sink.incoming() != [])
        peer.send(end)
    eventually(lambda: receiver.open_association_count == 0)
    assert sink.incoming() == []
    assert len(sink.files()) == 1
    assert sink.released == [], "only a release says that the sender is done"
    assert_unharmed(node)


def test_a_release_hands_on_the_studies_of_this_association(node: tuple[Receiver, Watched]) -> None:
    receiver, sink = node
    with RawPeer(receiver.port) as other, RawPeer(receiver.port) as peer:
        assert other.associate().store(make_radiograph()).Status == 0
        peer.associate()
        assert peer.store(make_radiograph()).Status == 0
        assert peer.store(make_radiograph()).Status == 0
        peer.send(RELEASE_REQUEST)
        answer = peer.read_pdu()
        assert answer is not None
        assert answer[0] == 6
    eventually(lambda: sink.released == [{2, 3}])


def test_connections_that_say_nothing_hold_no_thread_and_are_closed(tmp_path: Path) -> None:
    with receiving(tmp_path, limits=Limits(3.0, reserve_bytes=0)) as node:
        receiver, _ = node
        before = thread_count()
        silent = [connect(receiver.port) for _ in range(200)]
        half = [connect(receiver.port) for _ in range(40)]
        for connection in half:
            connection.sendall(associate_request()[:50])
        with RawPeer(receiver.port) as peer:
            assert echo(peer.associate(ECHO_ONLY)) == 0
            assert thread_count() <= before + 2
        for connection in silent + half:
            assert is_closed(connection)
            connection.close()
        assert_unharmed(node)


def test_more_silent_connections_than_there_is_room_for_push_the_oldest_out(
    node: tuple[Receiver, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, _ = node
    monkeypatch.setattr(server, "MAX_WAITING_CONNECTIONS", 10)
    silent = [connect(receiver.port) for _ in range(30)]
    with RawPeer(receiver.port) as peer:
        assert echo(peer.associate(ECHO_ONLY)) == 0
    assert is_closed(silent[0])
    for connection in silent:
        connection.close()
    assert_unharmed(node)


def test_a_connection_pushed_out_in_the_moment_it_speaks_harms_nobody(
    node: tuple[Receiver, Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, _ = node
    held, go_on = threading.Event(), threading.Event()
    reap = server.Server.reap

    def hold(self: server.Server) -> None:
        held.set()
        assert go_on.wait(PATIENCE_SECONDS)
        reap(self)

    with RawPeer(receiver.port) as oldest:
        with RawPeer(receiver.port) as peer:
            assert echo(peer.associate(ECHO_ONLY)) == 0  # so the oldest is waiting
        with monkeypatch.context() as patch:
            patch.setattr(server, "MAX_WAITING_CONNECTIONS", 1)
            patch.setattr(server.Server, "reap", hold)
            assert held.wait(PATIENCE_SECONDS)
            with RawPeer(receiver.port) as newer:
                oldest.send(b"\x01")
                go_on.set()
                assert oldest.is_closed()
                newer.send(b"\x01")
    assert_unharmed(node)


def test_hundreds_of_connections_that_come_and_go_leave_nothing(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    gc.collect()
    threads = thread_count()
    files = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    for round_number in range(300):
        connection = connect(receiver.port)
        if round_number % 3 == 1:
            connection.sendall(associate_request()[:20])
        if round_number % 3 == 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
    for round_number in range(30):
        with RawPeer(receiver.port) as peer:
            peer.associate(ECHO_ONLY)
            if round_number % 2:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert_unharmed(node)
    eventually(lambda: thread_count() <= threads)
    if files:
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= files)


def test_a_peer_that_falls_silent_in_the_middle_of_a_pdu_is_let_go(tmp_path: Path) -> None:
    with receiving(tmp_path, idle_seconds=1.0) as node:
        receiver, _ = node
        with RawPeer(receiver.port) as idle, RawPeer(receiver.port) as half, RawPeer(receiver.port) as drip:
            idle.associate()
            half.associate().send(struct.pack(">BxL", 4, 1000) + b"half")
            drip.associate().send(struct.pack(">BxL", 4, 100_000))
            eventually(lambda: not can_send(drip, b"\0"))  # a byte now and then is no progress
            assert idle.is_closed()
            assert half.is_closed()
        assert_unharmed(node)


def test_associations_beyond_the_limit_are_rejected_but_echo_is_answered(tmp_path: Path) -> None:
    with receiving(tmp_path, max_associations=2) as node:
        receiver, _ = node
        with RawPeer(receiver.port) as first, RawPeer(receiver.port) as second:
            first.associate()
            second.associate()
            with RawPeer(receiver.port) as third:
                third.send(associate_request())
                assert third.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
                assert third.is_closed()
            with RawPeer(receiver.port) as checker:
                assert echo(checker.associate(ECHO_ONLY)) == 0
        eventually(lambda: receiver.open_association_count == 0)
        with RawPeer(receiver.port) as fourth:
            assert fourth.associate().store(make_radiograph()).Status == 0


def test_whoever_is_not_on_the_lists_is_rejected(tmp_path: Path) -> None:
    lists = {"allowed_ae_titles": ("CR1",), "allowed_addresses": ("127.0.0.1",)}
    with receiving(tmp_path, **lists) as (receiver, _):
        with RawPeer(receiver.port) as peer:
            peer.associate(calling="CR1")
        with RawPeer(receiver.port) as peer:
            peer.send(associate_request(calling="CR2"))
            assert peer.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 3))


def test_whoever_calls_from_elsewhere_is_rejected(tmp_path: Path) -> None:
    lists = {"allowed_ae_titles": ("CR1",), "allowed_addresses": ("10.0.0.0/8",)}
    with receiving(tmp_path, **lists) as (receiver, _), RawPeer(receiver.port) as peer:
        peer.send(associate_request(calling="CR1"))
        assert peer.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 1))


def test_deflated_is_never_accepted(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    contexts = [
        (CR, [DeflatedExplicitVRLittleEndian]),
        (CR, [DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]),
    ]
    with RawPeer(receiver.port) as peer:
        peer.send(associate_request(contexts))
        answer = peer.read_pdu()
    assert answer is not None
    assert answer[0] == 2
    accepted = A_ASSOCIATE_AC()
    accepted.decode(answer)
    first, second = sorted(accepted.presentation_context, key=lambda context: context.context_id)
    assert first.result == 4, "transfer syntaxes not supported"
    assert (second.result, second.transfer_syntax) == (0, ExplicitVRLittleEndian)


def test_a_shutdown_lets_an_image_on_its_way_come_in(tmp_path: Path) -> None:
    with receiving(tmp_path) as (receiver, sink), ThreadPoolExecutor(1) as pool:
        image = make_radiograph()
        with RawPeer(receiver.port) as peer:
            peer.associate()
            sink.before_accept = lambda: eventually(lambda: not listens(receiver.port))
            peer.send(p_data((1, LAST_COMMAND, store_request(image)), (1, LAST_DATA, encode(image))))
            eventually(sink.incoming)
            done = pool.submit(receiver.shutdown, grace_seconds=PATIENCE_SECONDS)
            assert peer.read_answer().Status == 0
            peer.send(RELEASE_REQUEST)
            assert peer.is_closed()
        done.result()
        assert len(sink.files()) == 1


def test_a_shutdown_ends_an_association_that_stays(tmp_path: Path) -> None:
    with receiving(tmp_path) as (receiver, _), RawPeer(receiver.port) as peer:
        peer.associate()
        receiver.shutdown(grace_seconds=0.1)
        assert peer.is_closed()
        assert not listens(receiver.port)


def test_no_log_line_bears_patient_data(
    node: tuple[Receiver, Watched], capfd: pytest.CaptureFixture[str], root_log: io.StringIO
) -> None:
    receiver, sink = node
    image = make_radiograph()
    with RawPeer(receiver.port) as peer:
        peer.associate()
        peer.store(image)
        peer.store(image, encode(make_radiograph(StudyInstanceUID=None)))
        sink.fault = RuntimeError(f"INSERT {PATIENT}")
        peer.store(image)
        peer.send(p_data((1, LAST_COMMAND, store_request(image, sop_instance_uid=PATIENT))))
        peer.send(p_data((1, LAST_DATA, PATIENT.encode() * 9)))
        peer.read_answer()
        peer.send(p_data((1, LAST_DATA, PATIENT.encode())))
        assert peer.is_closed()
    eventually(lambda: receiver.open_association_count == 0)
    output = "".join(capfd.readouterr()) + root_log.getvalue()
    assert "instance refused" in output
    assert PATIENT not in output
    for uid in (image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID):
        assert uid not in output
