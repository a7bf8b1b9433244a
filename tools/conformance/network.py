"""The network services of the node, as tables: SOP classes, transfer syntaxes, statuses, rejections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pydicom import Dataset
from pydicom.uid import UID, BasicTextSRStorage, SecondaryCaptureImageStorage

from boneage_node.dimse import query_scu
from boneage_node.dimse.commitment import commitment_context
from boneage_node.dimse.contexts import (
    STORAGE_COMMITMENT,
    UNCOMPRESSED,
    VERIFICATION,
    accepted_contexts,
    proposals,
)
from boneage_node.dimse.wire.admission import ECHO_RESERVE, Rejection
from boneage_node.dimse.wire.negotiation import APPLICATION_CONTEXT
from boneage_node.net import http
from boneage_node.report import SR_CLASSES
from boneage_node.traffic.commitment import FailedReference, FailureReason, ReferencedSop
from boneage_node.traffic.store_status import StatusCode, is_delivered, is_permanent, meaning

from .markdown import code, table

_ALL_STATUSES = range(2**16)

_PURPOSES: dict[UID, str] = {
    VERIFICATION: "`boneage-node echo`, `boneage-node doctor`",
    **{uid: f'a bone age was read (`sr_class = "{name}"`)' for name, uid in SR_CLASSES.items()},
    BasicTextSRStorage: "a study was refused (`send_refusals`)",
    SecondaryCaptureImageStorage: "the picture beside each of these (`send_pictures`)",
    STORAGE_COMMITMENT: "whether the PACS keeps what it took (`request` in `[commitment]`); "
    "whether the node keeps what it received of a station",
    query_scu.FIND: "`boneage-node fetch`",
    query_scu.MOVE: "`boneage-node fetch`",
}
"""Purposes of the associations that the node opens, by SOP class."""

_REJECTED_WHEN = {
    Rejection.ADDRESS_NOT_ALLOWED: "the address is not among `allowed_addresses`",
    Rejection.PROTOCOL_VERSION_NOT_SUPPORTED: "bit 0 of the protocol version is not set; "
    "no other bit is looked at",
    Rejection.APPLICATION_CONTEXT_NOT_SUPPORTED: "the application context is another than "
    f"`{APPLICATION_CONTEXT}`; a request with none, or an empty one, is taken as if it had this",
    Rejection.CALLING_AE_TITLE_NOT_RECOGNISED: "the calling AE title is not among `allowed_ae_titles`",
    Rejection.CALLED_AE_TITLE_NOT_RECOGNISED: "the called AE title is not `ae_title`",
    Rejection.TOO_MANY_ASSOCIATIONS: "there are `max_associations` already; "
    f"{ECHO_RESERVE} more are let in that propose nothing but Verification",
}
_RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
_SOURCES = {1: "service-user", 2: "service-provider (ACSE)", 3: "service-provider (presentation)"}
_REASONS = {
    (1, 1): "no-reason-given",
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 2): "protocol-version-not-supported",
    (3, 2): "local-limit-exceeded",
}
"""Of PS3.8, Table 9-21."""


@dataclass(frozen=True)
class Offer:
    """A SOP class and the roles of the node.

    Attributes:
        sop_class: The SOP class.
        roles: SCU, SCP or both.
        syntaxes: Transfer syntaxes, the first preferred.
    """

    sop_class: UID
    roles: tuple[str, ...]
    syntaxes: tuple[UID, ...]


def as_acceptor() -> list[Offer]:
    """The presentation contexts that the node accepts."""
    return [
        Offer(
            UID(str(context.abstract_syntax)),
            ("SCP", "SCU") if context.scp_role else ("SCP",),  # both: who calls may propose either
            tuple(context.transfer_syntax or ()),
        )
        for context in (*accepted_contexts(), commitment_context())
    ]


def as_requestor(objects: Iterable[Dataset]) -> list[Offer]:
    """The presentation contexts that the node proposes.

    Args:
        objects: Examples of all that it sends.
    """
    sent = dict.fromkeys(
        proposal
        for made in objects
        for proposal in proposals(made.SOPClassUID, made.file_meta.TransferSyntaxUID, decompress=True)
    )
    return [
        Offer(VERIFICATION, ("SCU",), UNCOMPRESSED),
        *(Offer(sop_class, ("SCU",), syntaxes) for sop_class, syntaxes in sent),
        Offer(STORAGE_COMMITMENT, ("SCU", "SCP"), tuple(commitment_context().transfer_syntax or ())),
        *(Offer(sop_class, ("SCU",), UNCOMPRESSED) for sop_class in (query_scu.FIND, query_scu.MOVE)),
    ]


def services_table(accepted: Sequence[Offer], proposed: Sequence[Offer]) -> str:
    """Every SOP class, and in which roles (PS3.2, Table A.1-1)."""
    roles: dict[UID, set[str]] = {}
    for offer in (*accepted, *proposed):
        roles.setdefault(offer.sop_class, set()).update(offer.roles)
    rows = [
        (uid.name, code(uid), *("yes" if role in roles[uid] else "" for role in ("SCU", "SCP")))
        for uid in roles
    ]
    return table(("SOP class", "UID", "user (SCU)", "provider (SCP)"), rows)


def acceptor_table(offers: Sequence[Offer], names: dict[tuple[UID, ...], str]) -> str:
    """Accepted presentation contexts.

    Args:
        offers: What is accepted.
        names: What lists of transfer syntaxes are called.
    """
    rows = [
        (offer.sop_class.name, code(offer.sop_class), _either(offer.roles), names[offer.syntaxes])
        for offer in offers
    ]
    return table(("SOP class", "UID", "role of the node", "transfer syntaxes"), rows)


def requestor_table(offers: Sequence[Offer], names: dict[tuple[UID, ...], str]) -> str:
    """Proposed presentation contexts; arguments as for `acceptor_table`."""
    rows = [
        (
            offer.sop_class.name,
            code(offer.sop_class),
            _either(offer.roles),
            names[offer.syntaxes],
            _PURPOSES[offer.sop_class],
        )
        for offer in offers
    ]
    return table(("SOP class", "UID", "role of the node", "transfer syntaxes", "for"), rows)


def syntax_table(names: dict[tuple[UID, ...], str]) -> str:
    """The transfer syntaxes of each list, in the order of preference."""
    longest = max(names, key=len)
    assert all(set(syntaxes) <= set(longest) for syntaxes in names), "one list has them all"
    rows = [
        (uid.name, code(uid), *("yes" if uid in syntaxes else "" for syntaxes in names)) for uid in longest
    ]
    return table(("transfer syntax", "UID", *names.values()), rows)


def rejection_table() -> str:
    """The reasons for which associations are rejected."""
    rows = []
    for rejection in Rejection:
        result, source, reason = rejection.value
        words = f"{_RESULTS[result]}, {_SOURCES[source]}, {_REASONS[source, reason]}"
        rows.append((f"{result}, {source}, {reason}", words, _REJECTED_WHEN[rejection]))
    return table(("result, source, reason", "in words", "when"), rows)


def status_table(statuses: Iterable[StatusCode]) -> str:
    """The statuses of the node's responses."""
    return table(("status", "when"), [(code(f"0x{status:04X}"), status.words) for status in statuses])


def peer_status_table() -> str:
    """The outcome of an object by the status of the peer's response; every status is in one row."""
    found: dict[tuple[str, str], list[int]] = {}
    for status in _ALL_STATUSES:
        found.setdefault((_outcome(status), meaning(status)), []).append(status)
    rest = max(found, key=lambda row: len(found[row]))
    rows = [
        (_ranges(statuses, lambda status: code(f"0x{status:04X}")), words, outcome)
        for (outcome, words), statuses in found.items()
        if (outcome, words) != rest
    ]
    return table(
        ("status", "meaning", "what becomes of the object"), [*rows, ("any other", rest[1], rest[0])]
    )


def failure_reason_table() -> str:
    """The next step for an object that a peer does not commit, by Failure Reason."""
    rows = []
    for reason in FailureReason:
        failure = FailedReference(ReferencedSop("", ""), reason)
        rows.append(
            (code(f"0x{reason:04X}"), reason.words, "sent again" if failure.is_lost else "requested again")
        )
    rows.append(("any other", "", "sent again"))
    return table(("Failure Reason", "what the PACS says", "what becomes of the object"), rows)


def permanent_http_statuses() -> str:
    """The HTTP statuses that make a report a dead letter at once."""
    permanent = [status for status in range(400, 600) if http.is_permanent(status)]
    return _ranges(permanent, str)


def _either(roles: Sequence[str]) -> str:
    return " or ".join(roles)


def _outcome(status: int) -> str:
    if is_delivered(status):
        return "delivered"
    return "dead letter at once" if is_permanent(status) else "tried again"


def _ranges(numbers: Sequence[int], written: Callable[[int], str]) -> str:
    """Sorted numbers, those that follow each other as ranges."""
    texts = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *others = (number for _, number in run)
        texts.append(f"{written(first)} to {written(others[-1])}" if others else written(first))
    return ", ".join(texts)
