"""Decision on association requests, without any network."""

from __future__ import annotations

import ipaddress
from enum import Enum

from pynetdicom.pdu import A_ASSOCIATE_RQ

from boneage_node.dimse.contexts import VERIFICATION
from boneage_node.net.listening import Listening

ECHO_RESERVE = 4
"""Associations above the limit that are kept for C-ECHO alone, so that a busy node still answers health
checks."""


class Rejection(Enum):
    """Rejection of an association: (result, source, reason) as DICOM PS3.8 Table 9-21 numbers them.

    In the order in which they are looked for.
    """

    ADDRESS_NOT_ALLOWED = (1, 1, 1)
    """No reason code names an address, hence "no reason given"."""
    CALLING_AE_TITLE_NOT_RECOGNISED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNISED = (1, 1, 7)
    TOO_MANY_ASSOCIATIONS = (2, 3, 2)

    def to_pdu(self) -> bytes:
        """The A-ASSOCIATE-RJ PDU, 10 bytes."""
        return bytes((3, 0, 0, 0, 0, 4, 0, *self.value))


def admit(
    listening: Listening, request: A_ASSOCIATE_RQ, address: str, open_associations: int
) -> Rejection | None:
    """Decide on an association request.

    Args:
        listening: Whom to let in.
        request: The decoded A-ASSOCIATE-RQ PDU.
        address: The caller's IP address.
        open_associations: How many associations there are already.

    Returns:
        Why to reject it, or None to let it in.
    """
    if listening.allowed_addresses and not _is_in(address, listening.allowed_addresses):
        return Rejection.ADDRESS_NOT_ALLOWED
    if listening.allowed_ae_titles and request.calling_ae_title.strip() not in listening.allowed_ae_titles:
        return Rejection.CALLING_AE_TITLE_NOT_RECOGNISED
    if request.called_ae_title.strip() != listening.ae_title:
        return Rejection.CALLED_AE_TITLE_NOT_RECOGNISED
    only_echo = all(context.abstract_syntax == VERIFICATION for context in request.presentation_context)
    limit = listening.max_associations + (ECHO_RESERVE if only_echo else 0)
    return Rejection.TOO_MANY_ASSOCIATIONS if open_associations >= limit else None


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    caller = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
        caller = caller.ipv4_mapped
    return any(caller in ipaddress.ip_network(network) for network in networks)
