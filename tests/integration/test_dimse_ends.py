"""However an association goes wrong, it ends and holds no place, and the log says who ended it and why."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom.acse import ACSE
from pynetdicom.fsm import StateMachine
from support.dimse import (
    ABORT,
    ECHO_ONLY,
    LAST_COMMAND,
    LAST_DATA,
    RESET,
    RawPeer,
    associate_request,
    echo,
    encode,
    make_radiograph,
    p_data,
    receiving,
    store_request,
    thread_count,
)
from support.mutants import Mutants
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.wire import associations
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.dimse.wire.transport import STEP_BYTES


def reasons(output: str) -> list[str]:
    """Why associations were aborted, from what was logged."""
    lines = [line for line in output.splitlines() if "association aborted" in line]
    return [line.partition("reason=")[2].strip("'\"") for line in lines]


def provider_abort(reason: int) -> bytes:
    return bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, reason))


def reset(peer: RawPeer) -> None:
    peer.send(struct.pack(">BxL", 4, 1000) + b"half")
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.socket.close()


def stop(peer: RawPeer) -> None:
    peer.send(struct.pack(">BxL", 4, 1000) + b"half")
    peer.socket.close()


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (lambda peer: peer.send(ABORT), "the peer aborted it"),
        (lambda peer: peer.send(provider_abort(1)), "its DICOM layer does not know a PDU that it got"),
        (lambda peer: peer.send(provider_abort(99)), "its DICOM layer gives no reason"),
        (lambda peer: peer.send(bytes((7, 0, 0, 0, 0, 4, 0, 0, 1, 0))), "the peer aborted it"),
        (lambda peer: peer.socket.close(), "the peer closed the connection without a release"),
        (stop, "the peer closed the connection in the middle of a PDU"),
        (reset, "the rest of a PDU did not come (the connection was reset)"),
        (lambda peer: peer.send(struct.pack(">BxL", 4, 2**30)), "a PDU of 1073741824 bytes"),
        (lambda peer: peer.send(b"\x09\0\0\0\0\0"), "a PDU of unknown type 0x09"),
        (lambda peer: peer.send(associate_request()), "what came cannot be read, or is not expected"),
        (
            lambda peer: peer.send(p_data((9, LAST_COMMAND, b""))),
            "a presentation context that was not accepted",
        ),
        (lambda peer: peer.send(p_data((1, LAST_DATA, b"1"))), "data set that belongs to no request"),
    ],
)
def test_the_log_says_who_ended_it_and_why(
    tmp_path: Path, does: Callable[[RawPeer], object], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving(tmp_path) as (receiver, _), RawPeer(receiver.port) as peer:
        does(peer.associate())
        eventually(lambda: receiver.open_association_count == 0)
    output = capfd.readouterr().out
    (said,) = reasons(output)
    assert reason in said
    (line,) = [line for line in output.splitlines() if "association aborted" in line]
    assert "127.0.0.1" in line
    assert "PEER" in line


def test_silence_and_a_shutdown_are_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with receiving(tmp_path, idle_seconds=1.0) as (receiver, _):
        with RawPeer(receiver.port) as silent, RawPeer(receiver.port) as half:
            silent.associate()
            half.associate().send(struct.pack(">BxL", 4, 1000) + b"half")
            assert (silent.read_pdu() or b"")[:1] == b"\x07", "an A-ABORT"
            assert half.is_closed()
        eventually(lambda: receiver.open_association_count == 0)
        with RawPeer(receiver.port) as stays:
            stays.associate()
            receiver.shutdown(grace_seconds=0.0)
            assert (stays.read_pdu() or b"")[:1] == b"\x07"
    first, second, third = sorted(reasons(capfd.readouterr().out))
    assert first == "nothing was said for 1 s"
    assert second == "the node shuts down"
    assert third == "the rest of a PDU did not come (too slow)"


def test_a_release_is_no_abort(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with receiving(tmp_path) as (receiver, _), RawPeer(receiver.port) as peer:
        peer.associate().send(bytes((5, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        assert peer.is_closed()
        eventually(lambda: receiver.open_association_count == 0)
    output = capfd.readouterr().out
    assert "association released" in output
    assert reasons(output) == []


def test_a_slow_pdu_that_gets_on_is_waited_for(tmp_path: Path) -> None:
    with receiving(tmp_path, idle_seconds=3.0) as (receiver, _), RawPeer(receiver.port) as peer:
        image = make_radiograph(PixelData=bytes(5 * STEP_BYTES))
        pdu = p_data((1, LAST_DATA, encode(image)))
        peer.associate().send(p_data((1, LAST_COMMAND, store_request(image))))
        for start in range(0, len(pdu), STEP_BYTES):
            peer.send(pdu[start : start + STEP_BYTES])
            time.sleep(0.75)  # together longer than the longest silence
        assert peer.read_answer().Status == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [IndexError, SystemExit])
@pytest.mark.parametrize(("part", "method"), [(ACSE, "_negotiate_as_acceptor"), (StateMachine, "do_action")])
def test_an_association_whose_thread_dies_holds_no_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: type[BaseException],
    part: type,
    method: str,
) -> None:
    """SystemExit ends a thread without anybody noticing."""
    monkeypatch.setattr(associations, "GRACE_SECONDS", 0.2)

    def dies(*_: object) -> None:
        raise error("a secret")

    threads = thread_count()
    limits = Limits(request_timeout_seconds=1.0, reserve_bytes=0)
    with receiving(tmp_path, limits=limits, max_associations=2) as (receiver, sink):
        with monkeypatch.context() as patch:
            patch.setattr(part, method, dies)
            peers = [RawPeer(receiver.port) for _ in range(2)]
            for peer in peers:
                peer.send(associate_request())
            for peer in peers:
                assert peer.is_closed(), "though they keep the connection"
            eventually(lambda: receiver.open_association_count == 0)
        with RawPeer(receiver.port) as peer:
            assert peer.associate().store(make_radiograph()).Status == 0
        for peer in peers:
            peer.socket.close()
        assert sink.incoming() == []
    eventually(lambda: thread_count() <= threads)
    output = "".join(capfd.readouterr())
    assert "secret" not in output
    if error is IndexError:
        assert [reason for reason in reasons(output) if reason.startswith("IndexError at test_dimse_ends.py")]


def test_an_association_that_the_node_does_not_get_on_with_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(associations, "WORK_FACTOR", 2)
    stuck = threading.Event()
    with receiving(tmp_path, max_associations=1, idle_seconds=1.0) as (receiver, sink):
        sink.before_accept = lambda: stuck.wait(PATIENCE_SECONDS)
        with RawPeer(receiver.port) as first:
            image = make_radiograph()
            first.associate()
            first.send(p_data((1, LAST_COMMAND, store_request(image)), (1, LAST_DATA, encode(image))))
            assert first.is_closed()
        sink.before_accept = lambda: None
        with RawPeer(receiver.port) as second:
            assert second.associate().store(make_radiograph()).Status == 0
        stuck.set()
        eventually(lambda: receiver.open_association_count == 0)
    output = capfd.readouterr().out
    (line,) = [line for line in output.splitlines() if "association does not end" in line]
    assert "test_dimse_ends.py" in line or "threading.py" in line, "it says where the thread is"
    assert "the node did not get on with a request for 2 s" in reasons(output)


def test_an_image_that_takes_the_node_longer_than_the_longest_silence_is_no_reason(tmp_path: Path) -> None:
    with receiving(tmp_path, idle_seconds=0.5) as (receiver, sink), RawPeer(receiver.port) as peer:
        sink.before_accept = lambda: time.sleep(1.5)
        assert peer.associate().store(make_radiograph()).Status == 0


def test_mutants_take_no_place_and_no_thread(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    threads = thread_count()
    limits = Limits(request_timeout_seconds=2.0, reserve_bytes=0)
    with receiving(tmp_path, limits=limits, idle_seconds=1.0, max_associations=400) as (receiver, sink):
        mutants = Mutants(receiver.port, seed=11)
        for _ in range(200):
            mutants.meet()
        for peer in mutants.kept:
            peer.socket.settimeout(PATIENCE_SECONDS)
            assert peer.is_closed()
            peer.socket.close()
        eventually(lambda: receiver.open_association_count == 0)
        assert receiver.is_alive()
        with RawPeer(receiver.port) as peer:
            assert echo(peer.associate(ECHO_ONLY)) == 0
        eventually(lambda: receiver.open_association_count == 0)
        assert sink.incoming() == []
    eventually(lambda: thread_count() <= threads)
    output = "".join(capfd.readouterr())
    assert "Traceback" not in output
    assert "connection failed" not in output
    assert "association does not end" not in output
