"""What the conformance statement says of the network is what a running node does: no less, no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pynetdicom.sop_class
import pytest
from conformance import examples
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation, UserIdentityNegotiation
from support.commitment import small_node
from support.dimse import RawPeer, receiving
from support.negotiation import associate, item, proposal, usual_items
from support.repository import REPOSITORY

from boneage_node.dimse.commitment import send_request
from boneage_node.dimse.query_scu import Pacs
from boneage_node.dimse.store_scu import echo
from boneage_node.exchange.c_store import CStore
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.report import to_bytes
from boneage_node.traffic.commitment import CommitmentRequest, ReferencedSop
from boneage_node.traffic.file import LocalFile

VERIFICATION = UID("1.2.840.10008.1.1")
DEFAULT = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
MAX_CONTEXTS = 128

Proposal = tuple[UID, Sequence[UID]]


def statement() -> str:
    return (REPOSITORY / "docs" / "conformance.md").read_text(encoding="utf-8")


def tables(section: str) -> list[list[list[str]]]:
    """The tables of a section of the statement, as rows of cells without the header."""
    _, _, behind = statement().partition(f"#### {section} ")
    blocks = behind.partition("\n#")[0].split("\n\n")
    found = [block.splitlines()[2:] for block in blocks if block.startswith("|")]
    return [[[cell.strip(" `") for cell in row.strip("| ").split(" | ")] for row in rows] for rows in found]


def syntaxes() -> dict[str, list[UID]]:
    """The lists of transfer syntaxes by name, in the order of preference."""
    rows = tables("3.2.2")[1]
    everything = [UID(row[1]) for row in rows]
    uncompressed = [UID(row[1]) for row in rows if row[2] == "yes"]
    return {"uncompressed": uncompressed, "images": everything, "JPEG 2000 lossless": [JPEG2000Lossless]}


def offers(section: str) -> dict[UID, list[UID]]:
    """Transfer syntaxes by SOP class, as the first table of a section has them, over all its contexts."""
    offered: dict[UID, list[UID]] = {}
    for row in tables(section)[0]:
        offered.setdefault(UID(row[1]), []).extend(syntaxes()[row[3]])
    return offered


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a running node."""
    with small_node(tmp_path) as node:
        yield node.receiver.port


@contextmanager
def associated(port: int, proposals: Sequence[Proposal], *negotiated: Any) -> Iterator[Association]:
    contexts = [build_context(sop_class, list(listed)) for sop_class, listed in proposals]
    association = AE("PEER").associate(
        "127.0.0.1", port, contexts, "BONEAGE", ext_neg=list(negotiated) or None
    )
    assert association.is_established
    yield association
    association.release()


def accepted(port: int, proposals: Sequence[Proposal]) -> list[tuple[UID, UID]]:
    """SOP class and transfer syntax of every context that the node accepts."""
    with associated(port, proposals) as association:
        found = association.accepted_contexts
        return [(UID(str(context.abstract_syntax)), context.transfer_syntax[0]) for context in found]


def test_all_that_is_said_to_be_accepted_is_accepted(port: int) -> None:
    said = [(sop_class, syntax) for sop_class, listed in offers("3.2.2").items() for syntax in listed]
    assert len(said) > 70
    found = accepted(port, [(sop_class, [syntax]) for sop_class, syntax in said])
    assert sorted(found) == sorted(said)


def test_no_other_sop_class_is_accepted(port: int) -> None:
    known = {value for value in vars(pynetdicom.sop_class).values() if isinstance(value, UID)}
    others = sorted(known - set(offers("3.2.2")))
    assert len(others) > 200
    for start in range(0, len(others), MAX_CONTEXTS - 1):
        batch = [VERIFICATION, *others[start : start + MAX_CONTEXTS - 1]]
        proposals = [(sop_class, DEFAULT) for sop_class in batch]
        assert accepted(port, proposals) == [(VERIFICATION, ExplicitVRLittleEndian)]


def test_no_other_transfer_syntax_is_accepted(port: int) -> None:
    proposals: list[Proposal] = [(VERIFICATION, DEFAULT)]
    for sop_class, listed in offers("3.2.2").items():
        proposals.append((sop_class, [syntax for syntax in AllTransferSyntaxes if syntax not in listed]))
    assert accepted(port, proposals) == [(VERIFICATION, ExplicitVRLittleEndian)]


def test_of_several_transfer_syntaxes_the_highest_in_the_table_is_taken(port: int) -> None:
    said = offers("3.2.2")
    found = accepted(port, [(sop_class, listed[::-1]) for sop_class, listed in said.items()])
    assert sorted(found) == sorted((sop_class, listed[0]) for sop_class, listed in said.items())


def test_each_rejection_is_as_it_is_said(tmp_path: Path) -> None:
    lists = {"allowed_ae_titles": ("PEER",), "allowed_addresses": ("127.0.0.1",)}
    requests = [
        associate(*usual_items(), version=2),
        associate(item(0x10, b"1.2.840.10008.3.1.1.2"), proposal()),
        associate(*usual_items(), calling=b"OTHER"),
        associate(*usual_items(), called=b"OTHER"),
    ]
    found = set()
    with receiving(tmp_path / "lists", **lists) as (receiver, _):
        found |= {rejection_of(receiver.port, request) for request in requests}
    with receiving(tmp_path / "elsewhere", allowed_addresses=("10.0.0.0/8",)) as (receiver, _):
        found.add(rejection_of(receiver.port, associate(*usual_items())))
    with receiving(tmp_path / "full", max_associations=0) as (receiver, _):
        found.add(rejection_of(receiver.port, associate(*usual_items())))
    said = [tuple(int(number) for number in row[0].split(", ")) for row in tables("3.2.2")[2]]
    assert found == set(said)


def test_the_application_contexts_that_are_said_are_taken(port: int) -> None:
    (said,) = re.findall(r"- Application context `([0-9.]+)` only", statement())
    for items in [(item(0x10, said.encode()),), (), (item(0x10, b""),)]:
        assert rejection_of(port, associate(*items, proposal())) is None
    for other in ("1.2.840.10008.3.1.1.1.1", "1.2.3"):
        assert rejection_of(port, associate(item(0x10, other.encode()), proposal())) == (1, 1, 2)


def rejection_of(port: int, request: bytes) -> tuple[int, ...] | None:
    """Result, source and reason of the node's answer to a request; None where it is accepted."""
    with RawPeer(port) as peer:
        peer.send(request)
        answer = peer.read_pdu()
    assert answer is not None
    assert answer[0] in (2, 3)
    return tuple(answer[7:10]) if answer[0] == 3 else None


def test_the_node_names_itself_and_negotiates_nothing_but_what_is_said(port: int) -> None:
    radiograph = list(offers("3.2.2"))[1]
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.positive_response_requested = 1, b"somebody", True
    role = build_role(radiograph, scu_role=True, scp_role=True)
    with associated(port, [(radiograph, DEFAULT)], window, user, role) as association:
        node = association.acceptor
        assert (
            f"`{node.implementation_class_uid}`, version name `{node.implementation_version_name}`"
            in statement()
        )
        assert f"{node.maximum_length // 2**20} MiB as called" in statement()
        assert node.asynchronous_operations == (1, 1)
        assert node.user_identity is None
        assert node.role_selection == {}


def test_the_node_proposes_what_is_said_and_nothing_else(tmp_path: Path) -> None:
    said = offers("3.2.3")
    proposed: dict[UID, list[UID]] = {}

    def note(event: evt.Event) -> None:
        names = event.assoc.requestor
        assert f"`{names.implementation_class_uid}`" in statement()
        assert f"{names.maximum_length} bytes as calling" in statement()
        contexts: dict[UID, list[UID]] = {}
        for context in names.requested_contexts:
            contexts.setdefault(UID(str(context.abstract_syntax)), []).extend(context.transfer_syntax)
        proposed.update(contexts)

    with pacs(list(said), note) as station:
        echo(station, Caller("BONEAGE"))
        objects = [*examples.structured_reports(), *examples.refusals(), *examples.pictures()]
        for number, made in enumerate(objects):
            (tmp_path / f"{number}.dcm").write_bytes(to_bytes(made))
        files = [LocalFile(path) for path in sorted(tmp_path.iterdir())]
        assert all(sent.error is None for sent in CStore(station).send(files, Caller("BONEAGE")))
        references = (ReferencedSop("1.2.840.10008.5.1.4.1.1.7", "2.25.2"),)
        request = CommitmentRequest(str(station), "2.25.1", references)
        send_request(station, request, Caller("BONEAGE"), lambda report: True, lambda: True)
        assert not Pacs(station, Caller("BONEAGE")).find("STUDY", {"AccessionNumber": "A"}).rows
        *_, end = Pacs(station, Caller("BONEAGE")).move("2.25.3", [], "BONEAGE")
        assert end.problem
    assert proposed == said


@contextmanager
def pacs(sop_classes: Sequence[UID], note: Callable[[evt.Event], None]) -> Iterator[Station]:
    """A station that takes everything, finds nothing, and knows no destination to move to."""
    ae = AE("PACS")
    for sop_class in sop_classes:
        ae.add_supported_context(sop_class, DEFAULT)
    handlers = [
        (evt.EVT_ACCEPTED, note),
        (evt.EVT_C_STORE, lambda event: 0x0000),
        (evt.EVT_N_ACTION, lambda event: (0x0000, None)),
        (evt.EVT_C_FIND, lambda event: iter(())),
        (evt.EVT_C_MOVE, lambda event: iter([(None, None)])),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield Station("PACS", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()
