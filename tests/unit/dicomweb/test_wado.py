"""QIDO-RS and WADO-RS with a server that answers what a test tells it to."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.dimse import PATIENT
from support.http_peer import Reply, Request, http_peer

from boneage_node.dicomweb import wado
from boneage_node.dicomweb.wado import retrieve
from boneage_node.exchange.dicomweb_source import DicomwebSource
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.traffic.query import MAX_MATCHES, FoundSeries, FoundStudy, QueryFailed, StudyQuery

CALLER = Caller("BONEAGE")
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="b-1"'}
IMAGES = [b"first\r\n--b-0\r\n", b"\r\n--b-\r\n" * 20_000, b""]
"""Bodies with what looks like a boundary, longer than a piece, and empty."""
BODY = b"".join(b"\r\n--b-1\r\nContent-Type: application/dicom\r\n\r\n" + image for image in IMAGES)
BODY += b"\r\n--b-1--\r\n"


PLACE = "/studies/1.2/series/1.2.3"


def study(uid: str, accession: str) -> dict[str, object]:
    values = {"0020000D": uid, "00080050": accession, "00080020": "20240315", "00100020": PATIENT}
    return {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items()}


def series(uid: str) -> dict[str, object]:
    return {"0020000E": {"Value": [uid]}, "00080060": {"Value": ["DX"]}, "00201209": {"Value": [2]}}


def studies(url: str, accession: str) -> list[FoundStudy]:
    return list(DicomwebSource(url).studies(StudyQuery(accession), CALLER).found)


def test_studies_and_series_are_found_by_their_keys() -> None:
    matches = [study("1.2.3", "A 1"), study("1.2.4", "OTHER"), study("../x", "A 1"), {}, {"0020000D": 3}]
    of_study = [series("1.2.5"), series("1.2.5"), {"0020000E": {"Value": [{}]}}]

    def reply(request: Request) -> Reply:
        return Reply(200, json.dumps(of_study if "series" in request.path else matches).encode())

    with http_peer(reply) as peer:
        assert studies(peer.url, "A 1") == [FoundStudy("1.2.3", "20240315", PATIENT)]
        found = DicomwebSource(peer.url).series("1.2.3", CALLER).found
        assert found == (FoundSeries("1.2.5", "DX", 2),)
    first, second = (request.path for request in peer.requests)
    assert first == f"/studies?limit={MAX_MATCHES + 1}&AccessionNumber=A%201"
    assert second.startswith("/studies/1.2.3/series?")


def test_letters_beyond_ascii_and_stars_are_asked_for_as_they_are() -> None:
    body = json.dumps([study("1.2.3", "*MÜ*"), study("1.2.4", "XMÜX")]).encode()
    with http_peer(lambda _: Reply(200, body)) as peer:
        assert [one.study_instance_uid for one in studies(peer.url, "*MÜ*")] == ["1.2.3"]
    (request,) = peer.requests
    assert request.path.endswith("AccessionNumber=*M%C3%9C*")


def test_a_service_that_does_not_understand_escapes_is_asked_for_the_other_letters() -> None:
    body = json.dumps([study("1.2.3", "M 1"), study("1.2.4", "MX1")]).encode()
    with http_peer(lambda request: Reply(204) if "%" in request.path else Reply(200, body)) as peer:
        assert [one.study_instance_uid for one in studies(peer.url, "M 1")] == ["1.2.3"]
    assert peer.requests[-1].path.endswith("AccessionNumber=M*1")


MORE = {"Warning": '299 pacs: "There are 2 additional results that can be requested"'}


@pytest.mark.parametrize("first", [Reply(206), Reply(200, headers=MORE)])
def test_what_is_told_in_pages_is_asked_for_page_by_page(first: Reply) -> None:
    def reply(request: Request) -> Reply:
        if "offset=2" in request.path:
            return Reply(200, json.dumps([series("1.2.5"), series("1.2.6")]).encode())
        return replace(first, body=json.dumps([series("1.2.3"), series("1.2.4")]).encode())

    with http_peer(reply) as peer:
        told = DicomwebSource(peer.url).series("1.2", CALLER)
    assert [one.series_instance_uid for one in told.found] == ["1.2.3", "1.2.4", "1.2.5", "1.2.6"]
    assert not told.missing


@pytest.mark.parametrize(
    "second", [Reply(206, json.dumps([series("1.2.3")]).encode()), Reply(400), Reply(404), Reply(503)]
)
def test_a_part_that_has_no_next_page_is_kept_and_told_to_be_a_part(second: Reply) -> None:
    first = Reply(206, json.dumps([series("1.2.3")]).encode())
    with http_peer(lambda request: second if "offset" in request.path else first) as peer:
        told = DicomwebSource(peer.url).series("1.2", CALLER)
    assert [one.series_instance_uid for one in told.found] == ["1.2.3"]
    assert "tells only a part" in told.missing


def test_a_compressed_answer_is_read_though_nobody_asked_for_it() -> None:
    body = gzip.compress(json.dumps([study("1.2.3", "A1")]).encode())
    with http_peer(lambda _: Reply(200, body, {"Content-Encoding": "gzip"})) as peer:
        assert len(studies(peer.url, "A1")) == 1


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
    with http_peer(lambda _: reply) as peer, pytest.raises(QueryFailed) as caught:
        studies(peer.url, "A1")
    assert sentence in str(caught.value)
    assert "A1" not in str(caught.value)


def retrieved(reply: Reply | Callable[[Request], Reply], folder: Path) -> tuple[list[bytes], str]:
    """The files that come of a retrieval, and the problem that is told."""
    with (
        http_peer(reply if callable(reply) else lambda _: reply) as peer,
        HttpClient(peer.url) as client,
    ):
        done = retrieve(client, "1.2", "1.2.3", folder)
    assert sorted(done.files) == sorted(folder.iterdir())
    return [file.read_bytes() for file in done.files], done.problem


@pytest.mark.parametrize("body", [BODY, BODY.removeprefix(b"\r\n"), BODY + b"epilogue"])
def test_each_part_becomes_a_file_byte_for_byte(tmp_path: Path, body: bytes) -> None:
    with http_peer(lambda _: Reply(200, body, MULTIPART)) as peer, HttpClient(peer.url) as client:
        one, more = (retrieve(client, "1.2", series, tmp_path) for series in ("1.2.3", None))
    for done in (one, more):
        assert [file.read_bytes() for file in done.files] == IMAGES
        assert not done.problem
    assert len(list(tmp_path.iterdir())) == 6
    assert [request.path for request in peer.requests] == [PLACE, "/studies/1.2"]
    assert peer.requests[0].headers["Accept"].endswith("transfer-syntax=*")


def test_a_service_that_knows_no_star_is_asked_without(tmp_path: Path) -> None:
    def reply(request: Request) -> Reply:
        return Reply(406) if "*" in request.headers["Accept"] else Reply(200, BODY, MULTIPART)

    assert retrieved(reply, tmp_path) == (IMAGES, "")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/related; type=application/dicom; boundary=b-1", BODY),
        ("Multipart/Related;boundary=b-1", BODY),
        (
            'multipart/related; boundary="b-1"; type="application/dicom"; transfer-syntax=1.2',
            BODY.replace(
                b"/dicom\r", b"/dicom; transfer-syntax=*\r\nContent-Location: /1\r\nMIME-Version: 1.0\r"
            ),
        ),
        ("multipart/related; boundary=b-1", BODY.replace(b"Content-Type: application/dicom\r\n", b"")),
        ("multipart/related; boundary=b-1", BODY.removesuffix(b"\r\n--b-1--\r\n")),
        ("multipart/related; boundary=b-1", BODY.removesuffix(b"--\r\n") + b"--"),
    ],
)
def test_a_body_that_is_written_otherwise_is_understood(
    tmp_path: Path, content_type: str, body: bytes
) -> None:
    reply = Reply(200, body, {"Content-Type": content_type})
    assert retrieved(reply, tmp_path) == (IMAGES, "")


def test_a_single_instance_and_a_compressed_answer_are_understood(tmp_path: Path) -> None:
    single = Reply(200, IMAGES[1], {"Content-Type": "application/dicom"})
    assert retrieved(single, tmp_path) == ([IMAGES[1]], "")
    (tmp_path / "more").mkdir()
    compressed = Reply(200, gzip.compress(BODY), MULTIPART | {"Content-Encoding": "gzip"})
    assert retrieved(compressed, tmp_path / "more") == (IMAGES, "")


def test_a_part_of_the_images_is_kept_and_told_to_be_a_part(tmp_path: Path) -> None:
    files, problem = retrieved(Reply(206, BODY, MULTIPART), tmp_path)
    assert files == IMAGES
    assert "only a part of the images (HTTP 206)" in problem


CUT = BODY[: BODY.rindex(b"\r\n--b-1\r\n") - 5]
"""In the middle of the second image."""


@pytest.mark.parametrize(
    ("reply", "sentence", "kept"),
    [
        (Reply(406), "refuses the request", 0),
        (Reply(204), "none of the images that it lists", 0),
        (
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
            "does not answer a retrieval as WADO-RS does",
            0,
        ),
        (Reply(200, BODY, {"Content-Type": "multipart/related"}), "does not answer a retrieval", 0),
        (Reply(200, b"--other" + BODY, MULTIPART), "the answer is not multipart", 0),
        (Reply(200, b"", MULTIPART), "the answer ends in the middle", 0),
        (
            Reply(200, CUT, MULTIPART | {"Content-Length": "999999", "Connection": "close"}),
            "broke the conn",
            1,
        ),
        (
            Reply(200, CUT, MULTIPART | {"Content-Length": None, "Connection": "close"}),
            "ends in the middle",
            1,
        ),
    ],
)
def test_of_what_breaks_off_the_whole_images_are_kept(
    tmp_path: Path, reply: Reply, sentence: str, kept: int
) -> None:
    files, problem = retrieved(reply, tmp_path)
    assert sentence in problem
    assert files == IMAGES[:kept]


def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wado, "MAX_RETRIEVED_BYTES", 100_000)
    files, problem = retrieved(Reply(200, BODY, MULTIPART), tmp_path)
    assert "more than 100000 bytes" in problem
    assert files == IMAGES[:1]


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    assert "No space left on device" in retrieved(Reply(200, BODY, MULTIPART), tmp_path)[1]
