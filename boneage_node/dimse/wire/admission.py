"""Decision on association requests, without any network."""

from __future__ import annotations

import ipaddress
from enum import Enum

from boneage_node.net.listening import Listening

from .negotiation import APPLICATION_CONTEXT, AssociationRequest

ECHO_RESERVE = 4
"""Associations above the limit that are kept for C-ECHO alone, so that a busy node still answers health
checks."""


class Rejection(Enum):
    """Rejection of an association: (result, source, reason) as DICOM PS3.8 Table 9-21 numbers them.

    In the order in which they are looked for.
    """

    ADDRESS_NOT_ALLOWED = (1, 1, 1)
    """No reason code names an address, hence "no reason given"."""
    PROTOCOL_VERSION_NOT_SUPPORTED = (1, 2, 2)
    APPLICATION_CONTEXT_NOT_SUPPORTED = (1, 1, 2)
    CALLING_AE_TITLE_NOT_RECOGNISED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNISED = (1, 1, 7)
    TOO_MANY_ASSOCIATIONS = (2, 3, 2)

    def received(self, request: AssociationRequest) -> str | None:
        """The field that brought it about, where it is not an AE title."""
        if self is Rejection.PROTOCOL_VERSION_NOT_SUPPORTED:
            return f"protocol version {request.protocol_version}"
        if self is Rejection.APPLICATION_CONTEXT_NOT_SUPPORTED:
            return f"application context {request.application_context}"
        return None

    def to_pdu(self) -> bytes:
        """The A-ASSOCIATE-RJ PDU, 10 bytes."""
        return bytes((3, 0, 0, 0, 0, 4, 0, *self.value))


def admit(
    listening: Listening, request: AssociationRequest, address: str, open_associations: int
) -> Rejection | None:
    """Decide on an association request.

    Args:
        listening: Whom to let in.
        request: The association request.
        address: The caller's IP address.
        open_associations: How many associations there are already.

    Returns:
        Why to reject it, or None to let it in.
    """
    if listening.allowed_addresses and not _is_in(address, listening.allowed_addresses):
        return Rejection.ADDRESS_NOT_ALLOWED
    if not request.protocol_version & 1:
        return Rejection.PROTOCOL_VERSION_NOT_SUPPORTED
    if request.application_context != APPLICATION_CONTEXT:
        return Rejection.APPLICATION_CONTEXT_NOT_SUPPORTED
    if listening.allowed_ae_titles and request.calling_ae_title not in listening.allowed_ae_titles:
        return Rejection.CALLING_AE_TITLE_NOT_RECOGNISED
    if request.called_ae_title != listening.ae_title:
        return Rejection.CALLED_AE_TITLE_NOT_RECOGNISED
    limit = listening.max_associations + (ECHO_RESERVE if request.is_for_verification_only else 0)
    return Rejection.TOO_MANY_ASSOCIATIONS if open_associations >= limit else None


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    caller = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
        caller = caller.ipv4_mapped
    return any(caller in ipaddress.ip_network(network) for network in networks)
