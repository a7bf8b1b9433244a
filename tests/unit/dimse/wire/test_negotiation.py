"""Whatever a peer writes, pynetdicom gets a request or answer that it can read, or none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from support.negotiation import associate, item, outcome, proposal, user_information, usual_items

from boneage_node.dimse.wire.negotiation import (
    APPLICATION_CONTEXT,
    AssociationRequest,
    Malformed,
    ae_title,
    clean_answer,
)
from boneage_node.dimse.wire.toolkit import configure_pynetdicom

CR, IMPLICIT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2"
UIDS = st.sampled_from([CR.encode(), IMPLICIT.encode(), b"", b"1.2\0", b"\xff", b"1" * 65])
SUB_ITEMS = st.lists(
    st.builds(item, st.sampled_from([0x30, 0x40, *range(0x51, 0x5A), 0x77]), UIDS | st.binary(max_size=70)),
    max_size=4,
).map(b"".join)
ITEMS = st.lists(
    st.builds(
        item,
        st.sampled_from([0x10, 0x20, 0x21, 0x50, 0x77]),
        st.builds(lambda front, below: front + below, st.binary(max_size=4), SUB_ITEMS),
    ),
    max_size=5,
)
TITLES = st.binary(max_size=16)
PDUS = {2: A_ASSOCIATE_AC, 3: A_ASSOCIATE_RJ, 7: A_ABORT_RQ}


@pytest.fixture(scope="module", autouse=True)
def _configured() -> None:
    configure_pynetdicom()


@settings(deadline=None, max_examples=200)
@given(items=ITEMS, version=st.integers(0, 0xFFFF), called=TITLES, calling=TITLES, tail=st.binary(max_size=8))
def test_any_request_can_be_read_when_written_anew(
    items: list[bytes], version: int, called: bytes, calling: bytes, tail: bytes
) -> None:
    pdu = associate(*items, tail, version=version, called=called, calling=calling)
    with suppress(Malformed):
        request = AssociationRequest.parse(pdu)
        read = A_ASSOCIATE_RQ()
        read.decode(request.encode())
        read.to_primitive()
        assert AssociationRequest.parse(request.encode()).contexts == request.contexts
        assert (read.protocol_version, read.application_context_name) == (1, APPLICATION_CONTEXT)
        assert all(context.transfer_syntax for context in read.presentation_context)


@settings(deadline=None, max_examples=200)
@given(items=ITEMS, kind=st.sampled_from([2, 3, 7]), cut=st.integers(6, 400))
def test_any_answer_can_be_read_when_written_anew(items: list[bytes], kind: int, cut: int) -> None:
    pdu = associate(*items, outcome(), kind=kind)[:cut]
    with suppress(Malformed):
        read = PDUS[kind]()
        read.decode(clean_answer(pdu, {1: frozenset({IMPLICIT})}))
        primitive = read.to_primitive()
        if kind == 2:
            found = primitive.presentation_context_definition_results_list
            assert {context.context_id for context in found} <= {1}
            assert all(context.transfer_syntax for context in found)


def test_what_is_as_it_should_be_stays_so() -> None:
    roles = item(0x54, b"\0\x191.2.840.10008.5.1.4.1.1.1\0\1")
    pdu = associate(*usual_items(proposal(3))[:2], user_information(roles), calling=b"CR 1")
    request = AssociationRequest.parse(pdu)
    assert (request.called_ae_title, request.calling_ae_title) == ("BONEAGE", "CR 1")
    (context,) = request.contexts
    assert (context.id, context.abstract_syntax, context.transfer_syntaxes) == (3, CR, (IMPLICIT,))
    read = A_ASSOCIATE_RQ()
    read.decode(request.encode())
    (role,) = read.user_information.role_selection.values()
    assert (role.uid, role.scu_role, role.scp_role) == (CR, 0, 1)
    assert read.user_information.maximum_length == 16384


@pytest.mark.parametrize(
    ("field", "title"),
    [
        (b"CR1             ", "CR1"),
        (b" CR 1\0\0\0        ", "CR 1"),
        (b"CR1\0OTHER", "CR1"),
        (b"\0" * 16, "?"),
        (b" " * 16, "?"),
        (b"R\xd6\\\x1b\x7f", "R????"),
    ],
)
def test_a_title_is_what_can_be_written_of_it(field: bytes, title: str) -> None:
    assert ae_title(field) == title
