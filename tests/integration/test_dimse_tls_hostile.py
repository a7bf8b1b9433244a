"""A scripted peer does to a receiver with TLS what a broken or hostile one does."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from support.dimse import (
    ABORT,
    CR,
    DATA,
    ECHO_ONLY,
    LAST_COMMAND,
    LAST_DATA,
    RELEASE_REQUEST,
    RESET,
    RawPeer,
    Watched,
    associate_request,
    can_send,
    data_set_bytes,
    echo,
    encode,
    make_radiograph,
    p_data,
    patient_receiving,
    receiving,
    store_request,
    thread_count,
)
from support.ports import listens
from support.tls import Authority, Signed
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.store_scp import Receiver
from boneage_node.dimse.wire import server
from boneage_node.dimse.wire.bounds import MAX_PDU_BYTES, Limits
from boneage_node.net.tls import calling_context, listening_context


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """The certificate of the node and of its callers."""
    return Authority(tmp_path_factory.mktemp("tls") / "ca").sign("station")


@pytest.fixture
def node(tmp_path: Path, station: Signed) -> Iterator[tuple[Receiver, Watched]]:
    tls = listening_context(station.files)
    with patient_receiving(tmp_path, tls=tls) as running:
        yield running


class Peer(RawPeer):
    """A scripted peer that sends what it sends through TLS."""

    def __init__(self, port: int, station: Signed) -> None:
        super().__init__(port)
        context = calling_context(station.files)
        self.socket = context.wrap_socket(
            self.socket, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        )


class PiecewisePeer(RawPeer):
    """A scripted peer with TLS of which a test sees, and delays, the bytes on the wire."""

    def __init__(self, port: int, station: Signed) -> None:
        super().__init__(port)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = calling_context(station.files).wrap_bio(
            self.incoming, self.outgoing, server_hostname="127.0.0.1"
        )

    def hello(self) -> bytes:
        """The first flight of the handshake."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def shake_hands(self) -> bytes:
        """Make the handshake; gives its last flight, which is not sent."""
        self.socket.sendall(self.hello())
        while True:
            self._feed()
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                return self.outgoing.read()

    def record(self, data: bytes) -> bytes:
        """The bytes on the wire of what is said."""
        self.tls.write(data)
        return self.outgoing.read()

    def _read(self, count: int) -> bytes | None:
        received = b""
        while len(received) < count:
            try:
                received += self.tls.read(count - len(received))
            except ssl.SSLWantReadError:
                self._feed()
        return received

    def _feed(self) -> None:
        data = self.socket.recv(65536)
        assert data, "the node closed the connection"
        self.incoming.write(data)


def assert_unharmed(node: tuple[Receiver, Watched], station: Signed) -> None:
    """It answers C-ECHO, has let go of everybody, and nothing is left half-received."""
    receiver, sink = node
    with Peer(receiver.port, station) as peer:
        assert echo(peer.associate(ECHO_ONLY)) == 0
    eventually(lambda: receiver.open_association_count == 0)
    assert sink.incoming() == []


@pytest.mark.parametrize(
    ("first", "received"),
    [
        (associate_request(), "DICOM without TLS"),
        (ABORT, "something else"),
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", "something else"),
    ],
)
def test_what_is_not_tls_is_turned_away_and_logged(
    node: tuple[Receiver, Watched],
    station: Signed,
    capfd: pytest.CaptureFixture[str],
    first: bytes,
    received: str,
) -> None:
    with RawPeer(node[0].port) as peer:
        peer.send(first)
        assert peer.is_closed()
    assert_unharmed(node, station)
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "not TLS" in line]
    assert received in line
    assert "address=127.0.0.1" in line


def test_tls_at_a_port_without_it_is_turned_away_and_logged(
    tmp_path: Path, station: Signed, capfd: pytest.CaptureFixture[str]
) -> None:
    with patient_receiving(tmp_path) as (receiver, _):
        with pytest.raises(OSError):
            Peer(receiver.port, station)
        with RawPeer(receiver.port) as peer:
            assert echo(peer.associate(ECHO_ONLY)) == 0
    assert "TLS, which this port does not speak" in capfd.readouterr().out


@pytest.mark.parametrize(
    "damaged",
    [
        lambda hello: hello[:5] + b"\xff" * (len(hello) - 5),
        lambda hello: b"\x16\x03\x01\xff\xff" + bytes(65535),
        lambda hello: b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" * 20,
        lambda hello: hello + associate_request(),
        lambda hello: hello + hello,
    ],
)
def test_a_handshake_gone_wrong_is_turned_away_and_logged(
    node: tuple[Receiver, Watched],
    station: Signed,
    capfd: pytest.CaptureFixture[str],
    damaged: Callable[[bytes], bytes],
) -> None:
    with PiecewisePeer(node[0].port, station) as peer:
        peer.send(damaged(peer.hello()))
        assert peer.is_closed()
    assert_unharmed(node, station)
    assert "TLS handshake failed" in capfd.readouterr().out


def test_half_handshakes_by_the_hundred_hold_no_thread_and_are_closed(
    tmp_path: Path, station: Signed, capfd: pytest.CaptureFixture[str]
) -> None:
    limits, tls = Limits(6.0, reserve_bytes=0), listening_context(station.files)
    with receiving(tmp_path, limits=limits, tls=tls) as node:
        receiver, _ = node
        before = thread_count()
        silent = [RawPeer(receiver.port) for _ in range(80)]
        half_hello = [PiecewisePeer(receiver.port, station) for _ in range(60)]
        half_way = [PiecewisePeer(receiver.port, station) for _ in range(60)]
        mute = PiecewisePeer(receiver.port, station)
        for peer in half_hello:
            peer.send(peer.hello()[:100])
        for peer in half_way:
            peer.send(peer.hello())
        mute.send(mute.shake_hands() + mute.record(associate_request()[:50]))
        with Peer(receiver.port, station) as peer:
            assert echo(peer.associate(ECHO_ONLY)) == 0
            assert thread_count() <= before + 2
        for peer in [*silent, *half_hello, *half_way, mute]:
            assert peer.is_closed()
            peer.socket.close()
        assert_unharmed(node, station)
    lines = capfd.readouterr().out.splitlines()
    assert sum("no association request in time" in line for line in lines) == 201


def test_handshakes_that_come_and_go_leave_nothing(node: tuple[Receiver, Watched], station: Signed) -> None:
    receiver, _ = node
    gc.collect()
    threads = thread_count()
    files = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    for number in range(120):
        with PiecewisePeer(receiver.port, station) as peer:
            if number % 4 == 1:
                peer.send(peer.hello()[:50])
            elif number % 4 == 2:
                peer.send(peer.hello())
            elif number % 4 == 3:
                peer.send(peer.shake_hands())
            if number % 8 > 3:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    for number in range(20):
        with Peer(receiver.port, station) as peer:
            peer.associate(ECHO_ONLY)
            if number % 2:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert_unharmed(node, station)
    eventually(lambda: thread_count() <= threads)
    if files:
        eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= files)


def test_more_half_handshakes_than_there_is_room_for_push_the_oldest_out(
    node: tuple[Receiver, Watched], station: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver, _ = node
    monkeypatch.setattr(server, "MAX_WAITING_CONNECTIONS", 10)
    waiting = [PiecewisePeer(receiver.port, station) for _ in range(30)]
    for peer in waiting:
        with suppress(OSError):  # pushed out already
            peer.send(peer.hello())
    with Peer(receiver.port, station) as peer:
        assert echo(peer.associate(ECHO_ONLY)) == 0
    assert waiting[0].is_closed()
    for peer in waiting:
        peer.socket.close()
    assert_unharmed(node, station)


def test_a_handshake_and_a_request_may_come_byte_by_byte_or_all_at_once(
    node: tuple[Receiver, Watched], station: Signed
) -> None:
    receiver, _ = node
    with PiecewisePeer(receiver.port, station) as peer:
        for byte in peer.hello():
            peer.send(bytes([byte]))
        peer.incoming.write(peer.socket.recv(65536))
    for split in (1, 100, 100_000):
        with PiecewisePeer(receiver.port, station) as peer:
            wire = peer.shake_hands() + peer.record(associate_request(ECHO_ONLY))
            for start in range(0, len(wire), split):
                peer.send(wire[start : start + split])
            answer = peer.read_pdu()
            assert answer is not None
            assert answer[0] == 2


def test_several_messages_may_come_in_one_record(node: tuple[Receiver, Watched], station: Signed) -> None:
    """What is decrypted and not asked for yet is not seen by select()."""
    receiver, sink = node
    images = [make_radiograph() for _ in range(3)]
    requests = [
        p_data((1, LAST_COMMAND, store_request(image))) + p_data((1, LAST_DATA, encode(image)))
        for image in images
    ]
    with Peer(receiver.port, station) as peer:
        peer.associate()
        peer.send(b"".join(requests))
        assert [peer.read_answer().Status for _ in images] == [0, 0, 0]
    assert len(sink.files()) == 3
    assert_unharmed(node, station)


def test_a_pdu_of_the_announced_length_is_taken(node: tuple[Receiver, Watched], station: Signed) -> None:
    receiver, sink = node
    image = make_radiograph(PixelData=bytes(MAX_PDU_BYTES - 1200), Rows=1)
    data, length = encode(image), MAX_PDU_BYTES - 6
    with Peer(receiver.port, station) as peer:
        peer.associate()
        peer.send(p_data((1, LAST_COMMAND, store_request(image))))
        peer.send(p_data((1, DATA, data[:length])))
        peer.send(p_data((1, LAST_DATA, data[length:])))
        assert peer.read_answer().Status == 0
    assert data_set_bytes(sink.files()[0]) == data


def test_half_a_record_does_not_keep_the_answer_back(node: tuple[Receiver, Watched], station: Signed) -> None:
    """The socket is readable, and no byte of the next PDU is there: the node answers what it was asked."""
    receiver, sink = node
    half_sent = threading.Event()
    sink.before_accept = lambda: half_sent.wait(PATIENCE_SECONDS)
    image = make_radiograph()
    with PiecewisePeer(receiver.port, station) as peer:
        peer.send(peer.shake_hands() + peer.record(associate_request()))
        assert peer.read_pdu() is not None
        peer.send(peer.record(p_data((1, LAST_COMMAND, store_request(image)), (1, LAST_DATA, encode(image)))))
        release = peer.record(RELEASE_REQUEST)
        peer.send(release[:10])
        half_sent.set()
        assert peer.read_answer().Status == 0
        peer.send(release[10:])
        answer = peer.read_pdu()
        assert answer is not None
        assert answer[0] == 6


@pytest.mark.parametrize("end", [ABORT, b""])
def test_a_sender_that_dies_in_the_middle_leaves_no_trace(
    node: tuple[Receiver, Watched], station: Signed, end: bytes
) -> None:
    receiver, sink = node
    with Peer(receiver.port, station) as peer:
        peer.associate()
        peer.send(p_data((1, LAST_COMMAND, store_request(make_radiograph()))))
        peer.send(p_data((1, DATA, bytes(2**15))))
        eventually(lambda: sink.incoming() != [])
        peer.send(end)
    eventually(lambda: receiver.open_association_count == 0)
    assert sink.incoming() == []
    assert_unharmed(node, station)


def test_a_peer_that_falls_silent_in_the_middle_of_a_record_is_let_go(
    tmp_path: Path, station: Signed
) -> None:
    tls = listening_context(station.files)
    with receiving(tmp_path, idle_seconds=2.0, tls=tls) as node:
        receiver, _ = node
        with (
            Peer(receiver.port, station) as idle,
            Peer(receiver.port, station) as half,
            PiecewisePeer(receiver.port, station) as drip,
        ):
            idle.associate()
            half.associate().send(struct.pack(">BxL", 4, 1000) + b"half")
            drip.send(drip.shake_hands() + drip.record(associate_request()))
            assert drip.read_pdu() is not None
            record = iter(drip.record(p_data((1, DATA, bytes(16_000)))))
            # a byte now and then is no progress
            eventually(lambda: not can_send(drip, bytes([next(record)])))
            assert idle.is_closed()
            assert half.is_closed()
        assert_unharmed(node, station)


def test_a_rejection_comes_through_tls(tmp_path: Path, station: Signed) -> None:
    tls = listening_context(station.files)
    with (
        receiving(tmp_path, tls=tls, max_associations=0) as (receiver, _),
        Peer(receiver.port, station) as peer,
    ):
        peer.send(associate_request([(CR, [ImplicitVRLittleEndian])]))
        assert peer.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
        assert peer.socket.recv(1) == b"", "it says goodbye (close_notify)"


def test_a_shutdown_says_goodbye_and_lets_an_image_on_its_way_come_in(
    tmp_path: Path, station: Signed
) -> None:
    with receiving(tmp_path, tls=listening_context(station.files)) as (receiver, sink):
        image = make_radiograph()
        with PiecewisePeer(receiver.port, station) as waiting, Peer(receiver.port, station) as peer:
            waiting.send(waiting.hello())
            peer.associate()
            sink.before_accept = lambda: eventually(lambda: not listens(receiver.port))
            peer.send(p_data((1, LAST_COMMAND, store_request(image)), (1, LAST_DATA, encode(image))))
            eventually(sink.incoming)
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(receiver.shutdown, grace_seconds=PATIENCE_SECONDS)
                assert peer.read_answer().Status == 0
                peer.send(RELEASE_REQUEST)
                assert peer.is_closed()
                done.result()
            assert waiting.is_closed()
        assert len(sink.files()) == 1
