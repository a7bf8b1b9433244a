"""HTTP with a server that answers what a test tells it to."""

from __future__ import annotations

import pytest
from support.http_peer import Reply, http_peer

from boneage_node.net.http import HttpClient, NoAnswer


def test_a_server_that_stops_in_the_middle_of_its_answer_is_given_up() -> None:
    stalled = Reply(200, b"{", {"Content-Length": "50"})
    with (
        http_peer(lambda _: stalled) as peer,
        HttpClient(peer.url, timeout_seconds=1) as client,
        pytest.raises(NoAnswer, match="did not answer in time"),
    ):
        client.request("GET", "/metadata")
