"""QIDO-RS and WADO-RS with a server that answers what a test tells it to."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path

import pytest
from support.dimse import PATIENT
from support.http_peer import Reply, Request, http_peer

from boneage_node.dicomweb import wado
from boneage_node.dicomweb.query import MAX_MATCHES, find_series, find_studies
from boneage_node.dicomweb.wado import retrieve_series
from boneage_node.net.http import HttpClient
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery

MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="b-1"'}
IMAGES = [b"first\r\n--b-0\r\n", b"\r\n--b-\r\n" * 20_000, b""]
"""Bodies with what looks like a boundary, longer than a piece, and empty."""
BODY = b"".join(b"\r\n--b-1\r\nContent-Type: application/dicom\r\n\r\n" + image for image in IMAGES)
BODY += b"\r\n--b-1--\r\n"


def study(uid: str, accession: str) -> dict[str, object]:
    values = {"0020000D": uid, "00080050": accession, "00080020": "20240315", "00100020": PATIENT}
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}


def test_studies_and_series_are_found_by_their_keys() -> None:
    matches = [study("1.2.3", "A 1"), study("1.2.4", "OTHER"), study("../x", "A 1"), {}, {"0020000D": 3}]
    series = [
        {"0020000E": {"Value": ["1.2.5"]}, "00080060": {"Value": ["DX"]}},
        {"0020000E": {"Value": [{}]}},
    ]

    def reply(request: Request) -> Reply:
        return Reply(200, json.dumps(series if "series" in request.path else matches).encode())

    with http_peer(reply) as peer, HttpClient(peer.url) as client:
        assert find_studies(client, StudyQuery("A 1")) == [FoundStudy("1.2.3", "20240315", PATIENT)]
        assert find_series(client, "1.2.3") == [FoundSeries("1.2.5", "DX")]
    first, second = (request.path for request in peer.requests)
    assert first == f"/studies?limit={MAX_MATCHES + 1}&AccessionNumber=A+1"
    assert second.startswith("/studies/1.2.3/series?")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(200, b"<html>"), "does not answer as a DICOMweb service does"),
        (Reply(200, b"[1]"), "does not answer as a DICOMweb service does"),
        (Reply(200, json.dumps([{}] * (MAX_MATCHES + 1)).encode()), f"more than {MAX_MATCHES} matches"),
        (Reply(500), "failed (HTTP status 500)"),
        (Reply(200, b"[", {"Content-Length": "9", "Connection": "close"}), "broke the connection off"),
    ],
)
def test_a_query_that_fails_is_said_in_a_sentence(reply: Reply, sentence: str) -> None:
    with (
        http_peer(lambda _: reply) as peer,
        HttpClient(peer.url) as client,
        pytest.raises(QueryFailed) as caught,
    ):
        find_studies(client, StudyQuery("A1"))
    assert sentence in str(caught.value)
    assert "A1" not in str(caught.value)


@pytest.mark.parametrize("body", [BODY, BODY.removeprefix(b"\r\n"), BODY + b"epilogue"])
def test_each_part_becomes_a_file_byte_for_byte(tmp_path: Path, body: bytes) -> None:
    with http_peer(lambda _: Reply(200, body, MULTIPART)) as peer, HttpClient(peer.url) as client:
        files = retrieve_series(client, "1.2", "1.2.3", tmp_path)
        more = retrieve_series(client, "1.2", "1.2.4", tmp_path)
    assert [file.read_bytes() for file in files] == IMAGES
    assert [file.read_bytes() for file in more] == IMAGES
    assert len(list(tmp_path.iterdir())) == 6
    assert peer.requests[0].path == "/studies/1.2/series/1.2.3"
    assert peer.requests[0].headers["Accept"].endswith("transfer-syntax=*")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(406), "refuses the request"),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), "does not answer a retrieval as WADO-RS does"),
        (Reply(200, BODY, {"Content-Type": "multipart/related"}), "does not answer a retrieval"),
        (Reply(200, BODY[:-9], MULTIPART), "the answer ends in the middle"),
        (Reply(200, b"--other" + BODY, MULTIPART), "the answer is not multipart"),
        (Reply(200, b"", MULTIPART), "the answer ends in the middle"),
        (
            Reply(200, BODY[:99], MULTIPART | {"Content-Length": "999", "Connection": "close"}),
            "broke the connection off",
        ),
    ],
)
def test_what_is_not_whole_is_no_retrieval(tmp_path: Path, reply: Reply, sentence: str) -> None:
    with (
        http_peer(lambda _: reply) as peer,
        HttpClient(peer.url) as client,
        pytest.raises(QueryFailed) as caught,
    ):
        retrieve_series(client, "1.2", "1.2.3", tmp_path)
    assert sentence in str(caught.value)


def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wado, "MAX_SERIES_BYTES", 100_000)
    with (
        http_peer(lambda _: Reply(200, BODY, MULTIPART)) as peer,
        HttpClient(peer.url) as client,
        pytest.raises(QueryFailed, match="more than 100000 bytes"),
    ):
        retrieve_series(client, "1.2", "1.2.3", tmp_path)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with (
        http_peer(lambda _: Reply(200, BODY, MULTIPART)) as peer,
        HttpClient(peer.url) as client,
        pytest.raises(QueryFailed, match="No space left on device"),
    ):
        retrieve_series(client, "1.2", "1.2.3", tmp_path)
