"""For tests of negotiation: association requests and answers with any field written in any way."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pydicom.uid import ImplicitVRLittleEndian

from .dimse import CR

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"


def item(kind: int, body: bytes) -> bytes:
    """An item or sub-item of an A-ASSOCIATE PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def proposal(
    context_id: int = 1,
    abstract_syntax: bytes | None = CR.encode(),
    transfer_syntaxes: Sequence[bytes] = (ImplicitVRLittleEndian.encode(),),
) -> bytes:
    """A proposed presentation context."""
    body = bytes((context_id, 0, 0, 0))
    if abstract_syntax is not None:
        body += item(0x30, abstract_syntax)
    return item(0x20, body + b"".join(item(0x40, syntax) for syntax in transfer_syntaxes))


def outcome(context_id: int = 1, result: int = 0, transfer_syntax: bytes | None = None) -> bytes:
    """What became of a presentation context."""
    syntax = ImplicitVRLittleEndian.encode() if transfer_syntax is None else transfer_syntax
    return item(0x21, bytes((context_id, 0, result, 0)) + (item(0x40, syntax) if syntax else b""))


def user_information(*sub_items: bytes) -> bytes:
    """User information as DCMTK has it, with more behind."""
    usual = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3") + item(0x55, b"OFFIS_DCMTK_368")
    return item(0x50, usual + b"".join(sub_items))


def associate(
    *items: bytes,
    kind: int = 1,
    version: int = 1,
    called: bytes = b"BONEAGE",
    calling: bytes = b"PEER",
) -> bytes:
    """An A-ASSOCIATE-RQ (or, of kind 2, -AC); titles are padded with blanks where they are shorter."""
    titles = called.ljust(16, b" ") + calling.ljust(16, b" ")
    body = struct.pack(">H2x", version) + titles + bytes(range(32)) + b"".join(items)
    return struct.pack(">BxL", kind, len(body)) + body


def usual_items(*contexts: bytes) -> tuple[bytes, ...]:
    """Application context, presentation contexts (one, unless told) and user information."""
    return (item(0x10, APPLICATION_CONTEXT), *(contexts or (proposal(),)), user_information())
