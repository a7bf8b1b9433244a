"""Who may open an association."""

from __future__ import annotations

import pytest
from support.dimse import CR, VERIFICATION, associate_request

from boneage_node.dimse.wire.admission import ECHO_RESERVE, Rejection, admit
from boneage_node.dimse.wire.negotiation import AssociationRequest
from boneage_node.net.listening import Listening

LISTED = {"allowed_ae_titles": ("CR1", "CR2"), "allowed_addresses": ("10.1.0.0/16", "fd00::/8")}


def request(calling: str = "CR1", called: str = "BONEAGE", sop_class: str = CR) -> AssociationRequest:
    return AssociationRequest.parse(associate_request([(sop_class, ["1.2.840.10008.1.2"])], calling, called))


def test_nothing_configured_admits_anybody_who_calls_the_node_by_its_name() -> None:
    assert admit(Listening(), request(), "192.0.2.7", 0) is None


def test_a_study_for_another_station_is_rejected() -> None:
    called_otherwise = request(called="PACS")
    assert admit(Listening(), called_otherwise, "127.0.0.1", 0) is Rejection.CALLED_AE_TITLE_NOT_RECOGNISED


@pytest.mark.parametrize(
    ("calling", "address", "rejection"),
    [
        ("CR1", "10.1.200.3", None),
        ("CR2", "fd12::1", None),
        ("CR1", "::ffff:10.1.200.3", None),
        ("CR1", "fe80::1%eth0", Rejection.ADDRESS_NOT_ALLOWED),
        ("CR1", "10.2.0.1", Rejection.ADDRESS_NOT_ALLOWED),
        ("CR3", "10.1.200.3", Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
        ("cr1", "10.1.200.3", Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
    ],
)
def test_allow_lists_name_ae_titles_and_networks(
    calling: str, address: str, rejection: Rejection | None
) -> None:
    assert admit(Listening(**LISTED), request(calling), address, 0) is rejection


def test_a_busy_node_rejects_images_but_still_answers_echo() -> None:
    settings = Listening(max_associations=3)
    assert admit(settings, request(), "127.0.0.1", 2) is None
    assert admit(settings, request(), "127.0.0.1", 3) is Rejection.TOO_MANY_ASSOCIATIONS
    echo = request(sop_class=VERIFICATION)
    assert admit(settings, echo, "127.0.0.1", 3 + ECHO_RESERVE - 1) is None
    assert admit(settings, echo, "127.0.0.1", 3 + ECHO_RESERVE) is Rejection.TOO_MANY_ASSOCIATIONS
