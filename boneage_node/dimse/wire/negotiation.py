"""Association requests and answers of peers, read leniently and written anew before pynetdicom sees them.

pynetdicom judges while it decodes: a blank version name, an even context id or a padded AE title raise an
exception, a presentation context without a transfer syntax one that ends a thread later. So it gets none of
what a peer wrote, but a request or answer of the same meaning that this module has made. What becomes of each
field (DICOM PS3.8 section 9.3, PS3.7 Annex D.3):

| what a peer writes | what becomes of it |
| --- | --- |
| protocol version | bit 0 alone counts; where it is not set, rejected |
| AE title: blanks around it, whatever is behind a NUL | passed over |
| AE title: control and 8-bit characters, backslash; empty | each becomes "?", and so does an empty one |
| application context: none, or an empty one | taken for DICOM's |
| application context: another one | rejected |
| items and sub-items of unknown types, in any order | passed over |
| zeros behind the last item | passed over |
| presentation context: even id, or 0 | taken as it is |
| presentation context: an id a second time | passed over |
| presentation context: no abstract syntax, or none that can be read | that context is not accepted |
| presentation context: no transfer syntax, or none that can be read | that context is not accepted |
| UID: padded with NUL or blank | padding is passed over |
| maximum length: missing, or of another size than four bytes | taken for 16,384 |
| maximum length: 1 to 127 | taken for 128, so that there are not more PDUs than bytes |
| implementation class UID and version name, whatever they are | passed over, they change nothing |
| role selection: cut short, or of neither role | passed over |
| asynchronous operations, extended negotiation, user identity | passed over, they are not negotiated |
| an item that is longer than what it stands in | :class:`Malformed` |
| answer: a context that was not proposed | passed over |
| answer: a transfer syntax that was not proposed, or an unknown result | that context is not accepted |
| rejection, abort: a source or reason that there is not | taken for "no reason given" |
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from boneage_node.dimse.contexts import VERIFICATION
from boneage_node.errors import BoneAgeError
from boneage_node.traffic.uid import is_uid

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The only one there is (PS3.7 Annex A.2.1)."""
HEADER_BYTES = 6
"""Type and length of a PDU."""
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
"""The types of PDU."""
TITLES = slice(10, 74)
"""AE titles and reserved bytes, which an answer repeats as the request had them."""
_CALLED, _CALLING = slice(10, 26), slice(26, 42)
_FIXED_BYTES = 74
_APPLICATION_CONTEXT, _CONTEXT_RQ, _CONTEXT_AC, _USER_INFORMATION = 0x10, 0x20, 0x21, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS_UID, _ROLE_SELECTION = 0x51, 0x52, 0x54
_DEFAULT_PDU_BYTES, _MIN_PDU_BYTES = 16384, 128
_NOBODY = "2.25.0"
"""UID that stands where none can be read; nothing has it."""
_ACCEPTANCE, _NO_REASON, _TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 2, 4
_NOT_IN_A_TITLE = re.compile(r"[^\x20-\x5b\x5d-\x7e]")


class Malformed(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """What a peer wrote has no meaning; the text is the field."""


@dataclass(frozen=True)
class Context:
    """A proposed presentation context.

    Attributes:
        id: Its id, 0 to 255.
        abstract_syntax: UID of the SOP class.
        transfer_syntaxes: At least one.
    """

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class AssociationRequest:
    """An A-ASSOCIATE-RQ.

    Attributes:
        called_ae_title: Without padding, fit for a log and a database.
        calling_ae_title: The same.
        protocol_version: A bit for each version; 1 is the only one.
        application_context: UID.
        contexts: The presentation contexts.
        user_information: What of it pynetdicom gets, encoded.
    """

    called_ae_title: str
    calling_ae_title: str
    protocol_version: int
    application_context: str
    contexts: tuple[Context, ...]
    user_information: bytes

    @classmethod
    def parse(cls, pdu: bytes) -> AssociationRequest:
        """Read a whole A-ASSOCIATE-RQ PDU.

        Raises:
            Malformed: It has no meaning.
        """
        application_context, contexts, user_information = "", dict[int, Context](), _UserInformation()
        for kind, value in _variable_items(pdu):
            if kind == _APPLICATION_CONTEXT:
                application_context = application_context or _uid_in(value)
            elif kind == _CONTEXT_RQ:
                context = _proposed_context(value)
                contexts.setdefault(context.id, context)
            elif kind == _USER_INFORMATION:
                user_information.read(value)
        return cls(
            called_ae_title=ae_title(pdu[_CALLED]),
            calling_ae_title=ae_title(pdu[_CALLING]),
            protocol_version=int.from_bytes(pdu[6:8], "big"),
            application_context=application_context or APPLICATION_CONTEXT,
            contexts=tuple(contexts.values()),
            user_information=user_information.encode(),
        )

    @property
    def is_for_verification_only(self) -> bool:
        """Whether nothing but C-ECHO can come."""
        return all(context.abstract_syntax == VERIFICATION for context in self.contexts)

    def encode(self) -> bytes:
        """The same as an A-ASSOCIATE-RQ PDU in which every field is as the standard has it.

        Raises:
            Malformed: An item would be longer than an item can be.
        """
        items = [_item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode())]
        for context in self.contexts:
            syntaxes = _item(_ABSTRACT_SYNTAX, context.abstract_syntax.encode())
            for syntax in context.transfer_syntaxes:
                syntaxes += _item(_TRANSFER_SYNTAX, syntax.encode())
            items.append(_item(_CONTEXT_RQ, bytes((context.id, 0, 0, 0)) + syntaxes))
        items.append(_item(_USER_INFORMATION, self.user_information))
        return _associate_pdu(ASSOCIATE_RQ, self.called_ae_title, self.calling_ae_title, items)


def calling_ae_title(pdu: bytes) -> str | None:
    """Who sent a request, even one that is malformed behind that; None where it is cut short before."""
    return ae_title(pdu[_CALLING]) if len(pdu) >= _FIXED_BYTES else None


def ae_title(field: bytes) -> str:
    """An AE title as it is written, compared and stored: 1 to 16 characters that an AE title may have."""
    title = field.partition(b"\0")[0].decode("latin-1").strip(" ")
    return _NOT_IN_A_TITLE.sub("?", title) or "?"


def clean_answer(pdu: bytes, proposed: Mapping[int, frozenset[str]]) -> bytes:
    """Write the answer of a peer to a request of the node anew.

    Args:
        pdu: A whole PDU, A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-ABORT.
        proposed: Transfer syntaxes that were proposed, by the id of the presentation context.

    Raises:
        Malformed: It has no meaning.
    """
    if pdu[0] == ASSOCIATE_AC:
        return _clean_acceptance(pdu, proposed)
    if pdu[0] == ASSOCIATE_RJ:
        result, source, reason = pdu[7:10].ljust(3, b"\0")
        fields = (result if result in (1, 2) else 1, source, reason)
        if (source, reason) not in ((1, 1), (1, 2), (1, 3), (1, 7), (2, 1), (2, 2), (3, 1), (3, 2)):
            fields = (fields[0], source if source in (1, 2, 3) else 1, 1)
        return bytes((ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, *fields))
    return clean_abort(pdu)


def clean_abort(pdu: bytes) -> bytes:
    """Write an A-ABORT anew; of a source or reason that there is not, none is left."""
    source, reason = abort_cause(pdu)
    return bytes((ABORT, 0, 0, 0, 0, 4, 0, 0, source, reason))


def abort_cause(pdu: bytes) -> tuple[int, int]:
    """Source (0: service user, 2: service provider) and reason of an A-ABORT PDU (PS3.8 section 9.3.8)."""
    source, reason = pdu[8:10].ljust(2, b"\0")
    return (2, reason if reason in (1, 2, 4, 5, 6) else 0) if source == 2 else (0, 0)


def _clean_acceptance(pdu: bytes, proposed: Mapping[int, frozenset[str]]) -> bytes:
    contexts: dict[int, bytes] = {}
    user_information = _UserInformation()
    for kind, value in _variable_items(pdu):
        if kind == _CONTEXT_AC:
            if len(value) < 4:
                raise Malformed("presentation context")
            context_id, result = value[0], value[2]
            if context_id in proposed and context_id not in contexts:
                syntaxes = _syntaxes(value[4:], context_id, _TRANSFER_SYNTAX)
                if result == _ACCEPTANCE and not (syntaxes and syntaxes[0] in proposed[context_id]):
                    result = _TRANSFER_SYNTAXES_NOT_SUPPORTED
                syntax = syntaxes[0] if result == _ACCEPTANCE else min(proposed[context_id])
                known = result <= _TRANSFER_SYNTAXES_NOT_SUPPORTED
                contexts[context_id] = bytes((context_id, 0, result if known else _NO_REASON, 0)) + _item(
                    _TRANSFER_SYNTAX, syntax.encode()
                )
        elif kind == _USER_INFORMATION:
            user_information.read(value)
    items = [_item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode())]
    items += [_item(_CONTEXT_AC, context) for context in contexts.values()]
    items.append(_item(_USER_INFORMATION, user_information.encode()))
    return _associate_pdu(ASSOCIATE_AC, "?", "?", items)  # its titles are not to be tested (9.3.3)


class _UserInformation:
    """What changes something of user information: maximum length and role selection."""

    def __init__(self) -> None:
        self._max_pdu_bytes: int | None = None
        self._roles: dict[str, bytes] = {}

    def read(self, value: bytes) -> None:
        """Read an item; what came first counts."""
        for kind, sub_item in _items(value, "user information"):
            if kind == _MAXIMUM_LENGTH and len(sub_item) == 4 and self._max_pdu_bytes is None:
                self._max_pdu_bytes = int.from_bytes(sub_item, "big")
            elif kind == _ROLE_SELECTION and len(sub_item) >= 4:
                length = int.from_bytes(sub_item[:2], "big")
                uid, roles = _text(sub_item[2 : 2 + length]), sub_item[2 + length : 4 + length]
                if is_uid(uid) and any(roles) and len(roles) == 2:
                    encoded = struct.pack(">H", len(uid)) + uid.encode()
                    encoded += bytes(int(bool(role)) for role in roles)
                    self._roles.setdefault(uid, encoded)

    def encode(self) -> bytes:
        """The sub-items."""
        length = _DEFAULT_PDU_BYTES if self._max_pdu_bytes is None else self._max_pdu_bytes
        if 0 < length < _MIN_PDU_BYTES:  # 0: no limit
            length = _MIN_PDU_BYTES
        return b"".join(
            (
                _item(_MAXIMUM_LENGTH, struct.pack(">L", length)),
                _item(_IMPLEMENTATION_CLASS_UID, _NOBODY.encode()),
                *(_item(_ROLE_SELECTION, role) for role in self._roles.values()),
            )
        )


def _proposed_context(value: bytes) -> Context:
    if len(value) < 4:
        raise Malformed("presentation context")
    context_id = value[0]
    abstract = _syntaxes(value[4:], context_id, _ABSTRACT_SYNTAX)
    transfer = _syntaxes(value[4:], context_id, _TRANSFER_SYNTAX)
    return Context(context_id, (abstract or [_NOBODY])[0], tuple(transfer) or (_NOBODY,))


def _syntaxes(value: bytes, context_id: int, wanted: int) -> list[str]:
    """The UIDs of one kind in a presentation context, each once; what is no UID is left out."""
    uids = (_text(sub) for kind, sub in _items(value, f"presentation context {context_id}") if kind == wanted)
    return list(dict.fromkeys(uid for uid in uids if is_uid(uid)))


def _variable_items(pdu: bytes) -> Iterator[tuple[int, bytes]]:
    if len(pdu) < _FIXED_BYTES:
        raise Malformed("AE titles")
    return _items(pdu[_FIXED_BYTES:], "item")


def _items(data: bytes, field: str) -> Iterator[tuple[int, bytes]]:
    """Type and value of each item.

    Raises:
        Malformed: One is longer than what is there.
    """
    offset = 0
    while offset < len(data):
        head = data[offset : offset + 4]
        if len(head) < 4:
            if any(head):
                raise Malformed(field)
            return
        kind, length = struct.unpack(">BxH", head)
        value = data[offset + 4 : offset + 4 + length]
        if len(value) < length:
            raise Malformed(f"{field}, length of 0x{kind:02X}")
        yield kind, value
        offset += 4 + length


def _text(field: bytes) -> str:
    return field.strip(b"\0 ").decode("ascii", errors="replace")


def _uid_in(field: bytes) -> str:
    """A UID, one that nothing has where it is none, or an empty text."""
    text = _text(field)
    return text if not text or is_uid(text) else _NOBODY


def _item(kind: int, value: bytes) -> bytes:
    if len(value) >= 2**16:  # with what was added for what is missing
        raise Malformed(f"length of 0x{kind:02X}")
    return struct.pack(">BxH", kind, len(value)) + value


def _associate_pdu(kind: int, called: str, calling: str, items: list[bytes]) -> bytes:
    body = struct.pack(">H2x16s16s32x", 1, called.ljust(16).encode(), calling.ljust(16).encode())
    body += b"".join(items)
    return struct.pack(">BxL", kind, len(body)) + body
