"""HTTP with a server that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http_peer import HttpPeer, Reply, http_peer
from support.tls import Authority, Signed

from boneage_node.net.calling import Waits
from boneage_node.net.http import HttpClient, NoAnswer
from boneage_node.net.tls import TlsFiles, listening_context
from boneage_node.traffic.outcome import Unreachable


def test_a_server_that_stops_in_the_middle_of_its_answer_is_given_up() -> None:
    stalled = Reply(200, b"{", {"Content-Length": "50"})
    with (
        http_peer(lambda _: stalled) as peer,
        HttpClient(peer.url, Waits(answer_seconds=1)) as client,
        pytest.raises(NoAnswer, match="did not answer in time"),
    ):
        client.request("GET", "/metadata")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def server(authority: Authority) -> Signed:
    return authority.sign("server")


@pytest.fixture
def secure(server: Signed) -> Iterator[HttpPeer]:
    """A server that wants no certificate of its callers."""
    tls = listening_context(server.files.model_copy(update={"ca": None}))
    with http_peer(lambda _: Reply(200), tls) as peer:
        yield peer


def test_an_authority_of_the_node_is_trusted(secure: HttpPeer, authority: Authority) -> None:
    with HttpClient(secure.url, tls=TlsFiles(ca=authority.certificate)) as client:
        assert client.request("GET", "/").status == 200


def test_authorities_of_the_system_are_trusted_besides(
    secure: HttpPeer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    other = Authority(tmp_path / "other")
    with HttpClient(secure.url, tls=TlsFiles(ca=other.certificate)) as client:
        assert client.request("GET", "/").status == 200


def test_a_server_of_an_unknown_authority_is_not_talked_to(secure: HttpPeer, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    for tls in (TlsFiles(), TlsFiles(ca=other.certificate)):
        with HttpClient(secure.url, tls=tls) as client, pytest.raises(Unreachable, match=r"with tls\.ca"):
            client.request("GET", "/")
    assert secure.requests == []


def test_the_certificate_of_the_node_is_shown_where_it_is_asked_for(
    authority: Authority, server: Signed
) -> None:
    with http_peer(lambda _: Reply(200), listening_context(server.files)) as peer:
        with HttpClient(peer.url, tls=authority.sign("node").files) as client:
            assert client.request("GET", "/").status == 200
        with (
            HttpClient(peer.url, tls=TlsFiles(ca=authority.certificate)) as client,
            pytest.raises((NoAnswer, Unreachable)),
        ):
            client.request("GET", "/")


def test_a_file_of_tls_that_is_not_there_is_named(tmp_path: Path) -> None:
    client = HttpClient("https://127.0.0.1:1", tls=TlsFiles(ca=tmp_path / "gone.pem"))
    with pytest.raises(Unreachable, match=r"gone.pem \(tls.ca\) cannot be read"), client:
        pass
