"""What stations answer otherwise than the standard has it: taken, or said in a sentence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from support.dimse import (
    COMMAND,
    LAST_COMMAND,
    RawPeer,
    command,
    element,
    make_radiograph,
    p_data,
    store_request,
)
from support.negotiation import APPLICATION_CONTEXT, associate, item, outcome, user_information, usual_items
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.dimse.store_scu import echo
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.outcome import Unreachable

APPLICATION = item(0x10, APPLICATION_CONTEXT)


@contextmanager
def scripted(*script: Callable[[RawPeer], object]) -> Iterator[Station]:
    """A station that reads a request and answers as told, one step after the other."""

    def serve() -> None:
        connection, _ = listener.accept()
        with closing(connection):
            connection.settimeout(PATIENCE_SECONDS)
            peer = RawPeer.of(connection)
            peer.read_pdu()
            for step in script:
                step(peer)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(PATIENCE_SECONDS)
        thread = threading.Thread(target=serve)
        thread.start()
        yield Station("PACS", "127.0.0.1", listener.getsockname()[1])
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def says(*pdus: bytes) -> Callable[[RawPeer], None]:
    return lambda peer: peer.send(b"".join(pdus))


def hears(peer: RawPeer) -> None:
    peer.read_pdu()


def accept(*items: bytes, version: int = 1, called: bytes = b"PACS", calling: bytes = b"BONEAGE") -> bytes:
    return associate(*items, kind=2, version=version, called=called, calling=calling)


def response(*more: bytes, status: bytes = b"\0\0", message_id: bytes = b"\1\0") -> bytes:
    """A C-ECHO response."""
    body = element(0, 0x100, b"\x30\x80") + element(0, 0x120, message_id)
    return body + element(0, 0x800, b"\1\1") + element(0, 0x900, status) + b"".join(more)


RELEASED = bytes((6, 0, 0, 0, 0, 4, 0, 0, 0, 0))
USUAL = accept(APPLICATION, outcome(), user_information())
ODD_ANSWERS = {
    "as it should be": USUAL,
    "all protocol versions": accept(APPLICATION, outcome(), user_information(), version=0xFFFF),
    "no titles": accept(APPLICATION, outcome(), user_information(), called=bytes(16), calling=b"\xff\n"),
    "no application context": accept(outcome(), user_information()),
    "another application context": accept(item(0x10, b"private"), outcome(), user_information()),
    "no user information": accept(APPLICATION, outcome()),
    "a long version name": accept(APPLICATION, outcome(), user_information(item(0x55, b"V" * 99))),
    "an 8-bit version name": accept(APPLICATION, outcome(), user_information(item(0x55, b"\xff\0"))),
    "an implementation class that is no UID": accept(
        APPLICATION, outcome(), item(0x50, item(0x52, b"?" * 70))
    ),
    "unknown items": accept(APPLICATION, outcome(), item(0x66, b"x"), user_information(item(0x66, b""))),
    "a result that was not asked for": accept(
        APPLICATION, outcome(2), outcome(99), outcome(), user_information()
    ),
    "a padded transfer syntax": accept(
        APPLICATION, outcome(1, transfer_syntax=b"1.2.840.10008.1.2\0"), user_information()
    ),
    "a maximum length of one byte": accept(APPLICATION, outcome(), item(0x50, item(0x51, b"\0\0\0\1"))),
    "an identity that nobody asked for": accept(
        APPLICATION, outcome(), user_information(item(0x59, b"\0\1x"))
    ),
    "zeros behind it": accept(APPLICATION, outcome(), user_information(), bytes(9)),
}


@pytest.mark.parametrize("answer", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
def test_an_answer_that_does_no_harm_is_taken(answer: bytes) -> None:
    said = says(p_data((1, LAST_COMMAND, response())))
    with scripted(says(answer), hears, said, hears, says(RELEASED)) as station:
        echo(station, Caller("BONEAGE"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (accept(APPLICATION, outcome(1, 4), user_information()), "takes the association but not C-ECHO"),
        (accept(APPLICATION, outcome(1, 99), user_information()), "takes the association but not C-ECHO"),
        (accept(APPLICATION, user_information()), "takes the association but not C-ECHO"),
        (accept(APPLICATION, outcome(1, transfer_syntax=b""), user_information()), "but not C-ECHO"),
        (
            accept(APPLICATION, outcome(1, transfer_syntax=b"1.2.840.10008.1.2.1.99"), user_information()),
            "takes the association but not C-ECHO",
        ),
        (accept(APPLICATION, outcome()[:-3]), "answers with an A-ASSOCIATE-AC that cannot be read"),
        (bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 7)), "it is not called PACS"),
        (bytes((3, 0, 0, 0, 0, 4, 0, 9, 1, 9)), "rejects the association: no reason given"),
        (bytes((3, 0, 0, 0, 0, 4, 0, 0, 0, 0)), "rejects the association: no reason given"),
        (bytes((3, 0, 0, 0, 0, 2, 0, 1)), "rejects the association: no reason given"),
        (bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 0)), "it has as many associations as it takes"),
    ],
)
def test_an_answer_that_is_no_yes_is_said_in_a_sentence(answer: bytes, sentence: str) -> None:
    with (
        scripted(says(answer), hears) as station,
        pytest.raises(Unreachable, match=sentence),
    ):
        echo(station, Caller("BONEAGE"))


@pytest.mark.parametrize(
    "messages",
    [
        p_data((1, LAST_COMMAND, response(element(0, 0x902, b"\xff" * 999), element(0, 0x901, b"x")))),
        p_data((1, LAST_COMMAND, response(element(0, 2, b"?" * 99), element(0, 0x1000, b"\n")))),
        p_data((1, LAST_COMMAND, response(message_id=b"\7\0")), (1, LAST_COMMAND, response())),
        p_data(*[(1, COMMAND, bytes([byte])) for byte in response()[:-1]], (1, LAST_COMMAND, b"\0")),
    ],
    ids=["comments", "UIDs", "a response to another request first", "in pieces"],
)
def test_a_response_counts_by_its_message_id_and_status(messages: bytes) -> None:
    with scripted(says(USUAL), hears, says(messages), hears, says(RELEASED)) as station:
        echo(station, Caller("BONEAGE"))


@pytest.mark.parametrize(
    "message",
    [
        p_data((1, LAST_COMMAND, b"")),
        p_data((1, LAST_COMMAND, b"\xff" * 64)),
        p_data((1, LAST_COMMAND, element(0, 0x100, b"\x34\x12"))),
        p_data((9, LAST_COMMAND, response())),
        p_data((1, LAST_COMMAND, store_request(make_radiograph()))),
        p_data((1, LAST_COMMAND, command(0x0030, has_data_set=False))),
        p_data(*[(1, COMMAND, bytes(2**14))] * 2),
        b"\x04\x00\x00\x00\x00\x04\x00\x00\x00\x00",
        b"\x04\x00\xff\xff\xff\xff",
        b"\x09\x00\x00\x00\x00\x00",
        bytes((7, 0, 0, 0, 0, 4, 0, 0, 9, 9)),
        bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 9)),
        USUAL,
        associate(*usual_items()),
    ],
)
def test_what_no_station_may_say_ends_the_association_at_once(message: bytes) -> None:
    threads = threading.active_count()
    with (
        scripted(says(USUAL), hears, says(message), lambda peer: peer.is_closed()) as station,
        pytest.raises(Unreachable, match="did not answer the C-ECHO"),
    ):
        echo(station, Caller("BONEAGE"))
    eventually(lambda: threading.active_count() <= threads)
