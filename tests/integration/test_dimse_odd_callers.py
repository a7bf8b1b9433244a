"""What callers write otherwise than the standard has it: what does no harm is taken, as others take it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_AC
from support.dimse import (
    COMMAND,
    DATA,
    LAST_COMMAND,
    LAST_DATA,
    RELEASE_REQUEST,
    RawPeer,
    Watched,
    element,
    encode,
    make_radiograph,
    p_data,
    patient_receiving,
    store_request,
)
from support.negotiation import (
    APPLICATION_CONTEXT,
    associate,
    item,
    proposal,
    user_information,
    usual_items,
)
from support.waiting import eventually

from boneage_node.dimse.store_scp import Receiver

APPLICATION = item(0x10, APPLICATION_CONTEXT)
INVALID_VALUE_ABORT = bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, 6))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Receiver, Watched]]:
    with patient_receiving(tmp_path_factory.mktemp("node")) as running:
        yield running


def results(answer: bytes | None) -> dict[int, int]:
    """What became of each presentation context, of an A-ASSOCIATE-AC."""
    assert answer is not None
    assert answer[0] == 2, f"PDU of type {answer[0]}"
    offset, found = 74, {}
    while offset < len(answer):
        if answer[offset] == 0x21:
            found[answer[offset + 4]] = answer[offset + 6]
        offset += 4 + int.from_bytes(answer[offset + 2 : offset + 4], "big")
    return found


def stores(peer: RawPeer, context_id: int = 1) -> bool:
    """Whether an image is taken over a presentation context."""
    image = make_radiograph()
    peer.send(p_data((context_id, LAST_COMMAND, store_request(image))))
    peer.send(p_data((context_id, LAST_DATA, encode(image))))
    return bool(peer.read_answer().Status == 0)


ODD_REQUESTS = {
    "protocol versions besides the first": associate(*usual_items(), version=3),
    "every protocol version": associate(*usual_items(), version=0xFFFF),
    "titles padded with NUL": associate(
        *usual_items(), called=b"BONEAGE\0\0", calling=b"PEER".ljust(16, b"\0")
    ),
    "rubbish behind a NUL": associate(*usual_items(), called=b"BONEAGE\0\xfe\x01", calling=b"PEER\0PEER"),
    "titles with blanks before": associate(*usual_items(), called=b"  BONEAGE", calling=b" PEER"),
    "an even context id": associate(*usual_items(proposal(2))),
    "context id 0": associate(*usual_items(proposal(0))),
    "context id 255": associate(*usual_items(proposal(255))),
    "the same context twice": associate(*usual_items(proposal(), proposal())),
    "a context id twice": associate(*usual_items(proposal(), proposal(1, b"1.2.3"))),
    "UIDs padded with NUL and blank": associate(
        *usual_items(proposal(1, b"1.2.840.10008.5.1.4.1.1.1\0", [b"1.2.840.10008.1.2 "]))
    ),
    "a transfer syntax that is no UID": associate(
        *usual_items(proposal(1, transfer_syntaxes=[b"\xff\xfe", b"", b"1.2.840.10008.1.2"]))
    ),
    "two abstract syntaxes": associate(
        *usual_items(proposal()[:4] + proposal()[4:] + item(0x30, b"1.2.3"))
    ).replace(proposal(), item(0x20, proposal()[4:])),
    "no application context": associate(proposal(), user_information()),
    "an empty application context": associate(item(0x10, b""), proposal(), user_information()),
    "an application context padded with NUL": associate(
        item(0x10, APPLICATION_CONTEXT + b"\0"), proposal(), user_information()
    ),
    "no user information": associate(APPLICATION, proposal()),
    "empty user information": associate(APPLICATION, proposal(), item(0x50, b"")),
    "two items of user information": associate(
        APPLICATION, proposal(), user_information(), user_information()
    ),
    "items the other way round": associate(user_information(), proposal(), APPLICATION),
    "an unknown item": associate(*usual_items(), item(0x77, b"whatever")),
    "unknown user items": associate(
        APPLICATION, proposal(), user_information(item(0x5F, b""), item(0xFF, b"abc"))
    ),
    "a maximum length of no limit": associate(APPLICATION, proposal(), item(0x50, item(0x51, bytes(4)))),
    "a maximum length of two bytes": associate(APPLICATION, proposal(), item(0x50, item(0x51, b"\1\1"))),
    "an implementation class that is no UID": associate(
        APPLICATION, proposal(), item(0x50, item(0x52, b"x" * 99))
    ),
    "no implementation class": associate(APPLICATION, proposal(), item(0x50, item(0x52, b""))),
    "a long version name": associate(APPLICATION, proposal(), user_information(item(0x55, b"V" * 40))),
    "a version name in 8-bit characters": associate(
        APPLICATION, proposal(), user_information(item(0x55, b"R\xf6ntgen \x00\x01"))
    ),
    "no version name": associate(APPLICATION, proposal(), user_information(item(0x55, b""))),
    "operations at once, none": associate(APPLICATION, proposal(), user_information(item(0x53, bytes(4)))),
    "operations at once, cut short": associate(APPLICATION, proposal(), user_information(item(0x53, b"\0"))),
    "a role cut short": associate(APPLICATION, proposal(), user_information(item(0x54, b"\0\x191.2"))),
    "a role of neither kind": associate(
        APPLICATION, proposal(), user_information(item(0x54, b"\0\x051.2.3\0\0"), item(0x54, b""))
    ),
    "extended negotiation of nothing": associate(
        APPLICATION,
        proposal(),
        user_information(item(0x56, b"\0\0"), item(0x57, b"\0"), item(0x57, b"\0\xff")),
    ),
    "a user identity of an unknown kind": associate(
        APPLICATION, proposal(), user_information(item(0x58, b"\x09\1\0\1u\0\0"), item(0x58, b"\1"))
    ),
    "an identity in place of a request": associate(
        APPLICATION, proposal(), user_information(item(0x59, b""))
    ),
    "zeros behind it": associate(*usual_items(), bytes(7)),
}


@pytest.mark.parametrize("request_pdu", ODD_REQUESTS.values(), ids=ODD_REQUESTS.keys())
def test_what_does_no_harm_is_taken(node: tuple[Receiver, Watched], request_pdu: bytes) -> None:
    receiver, sink = node
    before = len(sink.accepted)
    with RawPeer(receiver.port) as peer:
        peer.send(request_pdu)
        answer = peer.read_pdu()
        (accepted,) = results(answer).items()
        assert accepted[1] == 0
        assert answer is not None
        assert answer[10:74] == request_pdu[10:74], "reserved fields come back as they were sent"
        assert stores(peer, accepted[0])
        peer.send(RELEASE_REQUEST)
        assert (peer.read_pdu() or b"")[:1] == b"\x06"
    assert len(sink.accepted) == before + 1
    assert sink.accepted[-1].calling_ae_title == "PEER"


@pytest.mark.parametrize(
    ("title", "known_as"),
    [
        (b"R\xd6NTGEN 1", "R?NTGEN 1"),
        (b"R\xc3\x96NTGEN", "R??NTGEN"),
        (b"A\n[info] B", "A?[info] B"),
        (b"A\\B", "A?B"),
        (b"", "?"),
        (b"\0SECRET", "?"),
        (b"\xff" * 16, "?" * 16),
    ],
)
def test_a_title_that_is_none_is_known_by_what_can_be_written(
    tmp_path: Path, title: bytes, known_as: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with patient_receiving(tmp_path, allowed_ae_titles=(known_as,)) as (receiver, sink):
        with RawPeer(receiver.port) as peer:
            peer.send(associate(*usual_items(), calling=title))
            assert results(peer.read_pdu()) == {1: 0}
            assert stores(peer)
        with RawPeer(receiver.port) as peer:
            peer.send(associate(*usual_items(), calling=b"OTHER"))
            assert peer.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 3))
    assert [received.calling_ae_title for received in sink.accepted] == [known_as]
    assert known_as in capfd.readouterr().out


@pytest.mark.parametrize(
    ("odd", "result"),
    [
        (proposal(3, transfer_syntaxes=[]), 4),
        (proposal(3, transfer_syntaxes=[b""]), 4),
        (proposal(3, transfer_syntaxes=[b"\xff" * 70]), 4),
        (proposal(3, abstract_syntax=None), 3),
        (proposal(3, abstract_syntax=b""), 3),
        (proposal(3, abstract_syntax=b"1" * 65), 3),
        (proposal(3, abstract_syntax=None, transfer_syntaxes=[]), 3),
        (item(0x20, bytes((3, 0, 0, 0))), 3),
    ],
)
def test_a_context_that_means_nothing_is_refused_by_itself(
    node: tuple[Receiver, Watched], odd: bytes, result: int
) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(associate(*usual_items(odd, proposal())))
        assert results(peer.read_pdu()) == {1: 0, 3: result}
        assert stores(peer)
    with RawPeer(receiver.port) as alone:
        alone.send(associate(*usual_items(odd)))
        assert results(alone.read_pdu()) == {3: result}
    eventually(lambda: receiver.open_association_count == 0)


@pytest.mark.parametrize(
    ("request_pdu", "rejection", "field"),
    [
        (associate(*usual_items(), version=2), (1, 2, 2), "protocol version 2"),
        (associate(*usual_items(), version=0), (1, 2, 2), "protocol version 0"),
        (
            associate(item(0x10, b"1.2.840.10008.3.1.1.2"), proposal()),
            (1, 1, 2),
            "application context 1.2.840.10008.3.1.1.2",
        ),
        (associate(item(0x10, b"\n[info]"), proposal()), (1, 1, 2), "application context"),
    ],
)
def test_what_cannot_be_is_rejected_with_its_reason(
    node: tuple[Receiver, Watched],
    request_pdu: bytes,
    rejection: tuple[int, ...],
    field: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(request_pdu)
        assert peer.read_pdu() == bytes((3, 0, 0, 0, 0, 4, 0, *rejection))
        assert peer.is_closed()
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "association rejected" in line]
    assert "PEER" in line
    assert field in line


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ((b"\x10\0\xff\xff", *usual_items()), "item, length of 0x10"),
        ((*usual_items()[:2], user_information()[:-3]), "item, length of 0x50"),
        ((APPLICATION, item(0x20, b"\3")), "presentation context"),
        ((APPLICATION, item(0x20, b"\3\0\0\0\x30\0\xff\xff1.2")), "presentation context 3, length of 0x30"),
        ((APPLICATION, proposal(), user_information(b"\x55\0\0\x09abc")), "user information, length of 0x55"),
        ((*usual_items(), b"\0\1"), "item"),
    ],
)
def test_lengths_that_contradict_each_other_end_it_with_the_field_in_the_log(
    node: tuple[Receiver, Watched],
    items: tuple[bytes, ...],
    field: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(associate(*items))
        assert peer.read_pdu() == INVALID_VALUE_ABORT
        assert peer.is_closed()
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "request malformed" in line]
    assert "PEER" in line
    assert field in line


def test_a_station_that_takes_pdus_of_one_byte_gets_short_ones(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(associate(APPLICATION, proposal(), item(0x50, item(0x51, b"\0\0\0\1"))))
        assert results(peer.read_pdu()) == {1: 0}
        image = make_radiograph()
        peer.send(p_data((1, LAST_COMMAND, store_request(image)), (1, LAST_DATA, encode(image))))
        pdus = [peer.read_pdu() or b"", peer.read_pdu() or b""]
        assert [(pdu[0], len(pdu) <= 6 + 128, pdu[11]) for pdu in pdus] == [(4, True, 1), (4, True, 3)]


def test_a_request_may_have_any_priority_and_originator(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    image = make_radiograph()
    with RawPeer(receiver.port) as peer:
        peer.associate()
        odd = element(0, 0x700, b"\7\0") + element(0, 0x1030, b"\xff" * 40) + element(0, 0x1031, b"\1")
        peer.send(
            p_data((1, COMMAND, store_request(image)), (1, LAST_COMMAND, odd + element(0, 0x9999, b"x")))
        )
        peer.send(p_data((1, DATA, b""), (1, LAST_DATA, encode(image))))
        assert peer.read_answer().Status == 0


def test_the_answer_may_be_read_by_anybody(node: tuple[Receiver, Watched]) -> None:
    receiver, _ = node
    with RawPeer(receiver.port) as peer:
        peer.send(associate(*usual_items(proposal(transfer_syntaxes=[b"x"]), proposal(3))))
        accepted = A_ASSOCIATE_AC()
        accepted.decode(peer.read_pdu() or b"")
    assert accepted.user_information.maximum_length == 2**20
    syntaxes = {context.context_id: context.transfer_syntax for context in accepted.presentation_context}
    assert syntaxes[3] == ImplicitVRLittleEndian
