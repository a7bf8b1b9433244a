"""STOW-RS with a server that answers what a test tells it to."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from support.dimse import PATIENT, write_radiograph
from support.http_peer import HttpPeer, Reply, Request, http_peer
from support.ports import free_port
from support.report import radiograph, report_of
from support.waiting import PATIENCE_SECONDS

from boneage_node.dicomweb.query import probe
from boneage_node.dicomweb.stow import probe as ask_to_store
from boneage_node.dicomweb.stow import send
from boneage_node.net.calling import Waits
from boneage_node.net.http import HttpClient
from boneage_node.report import to_bytes
from boneage_node.report.picture.capture import secondary_capture
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Sent, Unreachable

JSON = {"Content-Type": "application/dicom+json"}


pytestmark = pytest.mark.usefixtures("no_netrc")


@pytest.fixture
def files(tmp_path: Path) -> dict[LocalFile, str]:
    """Three files, and their SOP Instance UIDs."""
    files = [LocalFile(tmp_path / f"{number}.dcm") for number in range(3)]
    return {file: str(write_radiograph(file.path).SOPInstanceUID) for file in files}


def store_response(stored: list[str], failed: dict[str, int | None] | None = None) -> bytes:
    """A Store Instances Response Module."""

    def item(uid: str, **more: int | None) -> dict[str, object]:
        reasons = {tag: {"vr": "US", "Value": [value]} for tag, value in more.items() if value is not None}
        return {"00081155": {"vr": "UI", "Value": [uid]}, **reasons}

    return json.dumps(
        {
            "00081199": {"vr": "SQ", "Value": [item(uid) for uid in stored]},
            "00081198": {
                "vr": "SQ",
                "Value": [item(uid, **{"00081197": reason}) for uid, reason in (failed or {}).items()],
            },
        }
    ).encode()


def send_one(files: dict[LocalFile, str], reply: Reply) -> Sent:
    with http_peer(lambda _: reply) as peer:
        (sent,) = send(HttpClient(peer.url), list(files)[:1])
    return sent


def test_files_go_as_they_are_in_order_over_one_connection(files: dict[LocalFile, str]) -> None:
    uids = iter(files.values())
    with http_peer(lambda _: Reply(200, store_response([next(uids)]), JSON)) as peer:
        sent = list(send(HttpClient(f"{peer.url}/dicom-web"), files))
    assert sent == [Sent(file, 0) for file in files]
    for file, request in zip(files, peer.requests, strict=True):
        assert (request.method, request.path) == ("POST", "/dicom-web/studies")
        kind, _, boundary = request.headers["Content-Type"].partition("; boundary=")
        assert kind == 'multipart/related; type="application/dicom"'
        head, tail = (f"--{boundary}\r\n".encode(), f"\r\n--{boundary}--\r\n".encode())
        assert (
            request.body == head + b"Content-Type: application/dicom\r\n\r\n" + file.path.read_bytes() + tail
        )
        assert "Transfer-Encoding" not in request.headers


@pytest.mark.parametrize(
    ("http_status", "reason", "delivered", "permanent"),
    [
        (200, None, False, False),
        (202, 0xA700, False, False),
        (409, 0x0110, False, False),
        (409, 0x0124, False, False),
        (409, 0x0111, True, False),
        (202, 0xB000, True, False),
        (200, 0xA900, False, True),
        (409, 0xC122, False, True),
        (409, 0x0122, False, True),
    ],
)
def test_the_reason_for_a_failure_decides(
    files: dict[LocalFile, str], http_status: int, reason: int | None, delivered: bool, permanent: bool
) -> None:
    uid = next(iter(files.values()))
    sent = send_one(files, Reply(http_status, store_response([], {uid: reason}), JSON))
    assert (sent.delivered, sent.permanent, sent.status) == (delivered, permanent, reason or 0x0110)


@pytest.mark.parametrize(
    ("reply", "permanent", "sentence"),
    [
        (Reply(400), True, "refuses the request: look into its log (HTTP status 400)"),
        (Reply(400, b"<html>", {"Content-Type": "text/html"}), False, "refuses the request"),
        (Reply(401), False, "add the line 'machine 127.0.0.1 login NAME password SECRET' to the netrc file"),
        (Reply(403), False, "does not allow that"),
        (Reply(404), False, "check the path of the base URL http://127.0.0.1:"),
        (Reply(405), False, "check the path of the base URL"),
        (Reply(408), False, "waited too long"),
        (Reply(409), True, "refuses the request"),
        (Reply(413), False, "client_max_body_size"),
        (Reply(415), True, "does not take this kind of content"),
        (Reply(429), False, "too many requests"),
        (Reply(500), False, "failed (HTTP status 500)"),
        (Reply(503), False, "out of service"),
        (Reply(507), False, "out of disk space"),
        (
            Reply(302, headers={"Location": "http://other.example/x?q=1"}),
            False,
            "moved to http://other.example/x ",
        ),
        (Reply(200, b"<html>Log in</html>", {"Content-Type": "text/html"}), False, "does not say that the"),
        (Reply(200, b"[]", {"Content-Type": "application/json"}), False, "does not say that the report was"),
        (Reply(200, b"[" * 100_000, JSON), False, "does not say that the report was stored"),
        (Reply(202), False, "does not say that the report was stored (HTTP status 202)"),
        (Reply(200, b"x" * 2**21), False, "answers with more than 1048576 bytes"),
        (Reply(200, b"", {"Content-Length": "5", "Connection": "close"}), False, "broke the connection off"),
    ],
)
def test_what_is_not_stored_is_said_in_a_sentence(
    files: dict[LocalFile, str], reply: Reply, permanent: bool, sentence: str
) -> None:
    sent = send_one(files, reply)
    assert sent.error is not None
    assert sentence in sent.error
    assert (sent.permanent, sent.status) == (permanent, None)
    assert not any(secret in sent.error for secret in (PATIENT, *files.values()))


XML = {"Content-Type": "application/dicom+xml"}


def in_xml(uid: str, sequence: str = "00081199") -> bytes:
    """What matters of a Store Instances Response Module in the Native DICOM Model."""
    return (
        f'<NativeDicomModel><DicomAttribute tag="{sequence}" vr="SQ"><Item number="1">'
        f'<DicomAttribute tag="00081155" vr="UI">\n <Value number="1">{uid}</Value></DicomAttribute>'
        "</Item></DicomAttribute></NativeDicomModel>"
    ).encode()


@pytest.mark.parametrize("reply", [Reply(200), Reply(200, b"[]", JSON), Reply(200, b"<x/>", XML)])
def test_all_stored_without_details_is_stored_and_leaves_a_trace(
    files: dict[LocalFile, str], reply: Reply
) -> None:
    sent = send_one(files, reply)
    assert sent.delivered
    assert sent.warning == "The server says that all was stored, and does not name it."


def test_an_answer_in_xml_counts_by_the_identifiers_in_it(files: dict[LocalFile, str]) -> None:
    uid = next(iter(files.values()))
    stored = send_one(files, Reply(200, in_xml(uid), XML))
    assert (stored.delivered, stored.warning) == (True, None)
    failed = send_one(files, Reply(202, in_xml(uid, "00081198"), XML))
    assert (failed.delivered, failed.permanent) == (False, False)


@pytest.mark.parametrize("http_status", [200, 202])
@pytest.mark.parametrize(
    ("body", "headers"),
    [(store_response(["1.2.3"]), JSON), (store_response([], {"1.2.3": None}), JSON), (in_xml("1.2.3"), XML)],
)
def test_a_server_that_names_another_object_is_told_once(
    files: dict[LocalFile, str], http_status: int, body: bytes, headers: dict[str, str]
) -> None:
    """It has stored it under another identifier: each repetition would be one more."""
    sent = send_one(files, Reply(http_status, body, headers))
    assert sent.permanent
    assert sent.error is not None
    assert "changes SOP Instance UIDs" in sent.error


@pytest.mark.parametrize(
    ("reason", "words"), [(0xB000, "coercion"), (0xB006, "discarded"), (0xB007, "SOP class"), (7, "0x0007")]
)
def test_a_warning_is_kept(files: dict[LocalFile, str], reason: int, words: str) -> None:
    item = {"00081155": {"vr": "UI", "Value": [next(iter(files.values()))]}}
    item["00081196"] = {"vr": "US", "Value": [reason]}  # type: ignore[list-item]
    sent = send_one(files, Reply(202, json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode(), JSON))
    assert sent.delivered
    assert sent.warning is not None
    assert words in sent.warning


def test_a_reason_that_is_no_number_is_a_failure_all_the_same(files: dict[LocalFile, str]) -> None:
    item = {"00081155": {"Value": [next(iter(files.values()))]}, "00081197": {"Value": ["full"]}}
    sent = send_one(files, Reply(409, json.dumps({"00081198": {"Value": [item]}}).encode(), JSON))
    assert (sent.delivered, sent.permanent, sent.status) == (False, False, 0x0110)


def test_what_concerns_the_server_is_asked_once(files: dict[LocalFile, str]) -> None:
    """A wrong password tried for every report would lock the account."""
    with http_peer(lambda _: Reply(401)) as peer:
        sent = list(send(HttpClient(peer.url), files))
    assert len(peer.requests) == 1
    assert [one.file for one in sent] == list(files)
    assert len({one.error for one in sent}) == 1


def test_a_file_that_a_server_chokes_on_keeps_no_other_back(files: dict[LocalFile, str]) -> None:
    bad = list(files)[1].path.read_bytes()

    def reply(request: Request) -> Reply:
        return Reply(500) if bad in request.body else Reply(200)

    with http_peer(reply) as peer:
        assert [one.delivered for one in send(HttpClient(peer.url), files)] == [True, False, True]


def test_files_that_are_no_dicom_fail_for_good_and_those_that_are_not_there_for_now(
    tmp_path: Path, files: dict[LocalFile, str]
) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    bad = [LocalFile(path) for path in (tmp_path / "gone.dcm", tmp_path / "text.dcm", tmp_path)]
    with http_peer(lambda _: Reply(200)) as peer:
        sent = {one.file: one for one in send(HttpClient(peer.url), [*bad, *files])}
    assert len(peer.requests) == len(files)
    assert [sent[file].permanent for file in bad] == [False, True, False]  # a disk may be away
    assert not any(sent[file].delivered for file in bad)


def problem(url: str, file: LocalFile, answer_seconds: float = PATIENCE_SECONDS) -> str:
    """Why a server is not to be reached, as sending and asking say it."""
    with pytest.raises(Unreachable) as caught:
        probe(HttpClient(url, Waits(answer_seconds=answer_seconds)))
    (sent,) = send(HttpClient(url, Waits(answer_seconds=answer_seconds)), [file])
    assert (sent.status, sent.permanent, sent.error) == (None, False, str(caught.value))
    return str(caught.value)


def test_nobody_there_is_said_in_a_sentence(files: dict[LocalFile, str]) -> None:
    file, closed = next(iter(files)), free_port()
    assert problem(f"http://127.0.0.1:{closed}", file).startswith(f"Nothing listens on 127.0.0.1:{closed}: ")
    assert "no.such.host.invalid is not known" in problem("http://no.such.host.invalid", file)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        assert "did not answer in time" in problem(f"http://127.0.0.1:{mute.getsockname()[1]}", file, 1.0)


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A self-signed certificate, as a server shows it; in ``folder`` as cert.pem."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert]
    command += ["-subj", "/CN=test", "-days", "2", "-addext", f"subjectAltName={name}"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def test_a_certificate_must_be_trusted_and_be_that_of_the_host(
    tmp_path: Path, files: dict[LocalFile, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = next(iter(files))
    for name in ("IP:127.0.0.1", "DNS:other.example"):
        with http_peer(lambda _: Reply(200, b"[]"), tls=certificate(tmp_path, name)) as peer:
            assert "self-signed certificate" in problem(peer.url, file)
            with monkeypatch.context() as trusting:
                trusting.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
                if name.startswith("IP"):
                    assert probe(HttpClient(peer.url)) > 0
                else:
                    assert "IP address mismatch" in problem(peer.url, file)


def test_tls_to_a_port_without_it(files: dict[LocalFile, str]) -> None:
    with http_peer(lambda _: Reply(200)) as peer:
        assert "check the port, and https or http" in problem(
            f"https://127.0.0.1:{peer.port}", next(iter(files))
        )


def write_netrc(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_credentials_are_those_that_netrc_has_for_the_host(
    tmp_path: Path, files: dict[LocalFile, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def authorization(peer: HttpPeer) -> str | None:
        peer.requests.clear()
        probe(HttpClient(peer.url))
        return peer.requests[0].headers.get("Authorization")

    with http_peer(lambda _: Reply(204)) as peer:
        assert authorization(peer) is None
        write_netrc(tmp_path / "home" / ".netrc", "machine 127.0.0.1 login alice password wonder\n")
        assert authorization(peer) == "Basic YWxpY2U6d29uZGVy"
        other = write_netrc(tmp_path / "other", "machine pacs.example login alice password wonder\n")
        monkeypatch.setenv("NETRC", str(other))
        assert authorization(peer) is None
    write_netrc(other, "machine 127.0.0.1 login alice password wrong")
    assert "correct them" in (send_one(files, Reply(401)).error or "")


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("machine 127.0.0.1 login a password S3CRET", 0o640, "can be read by others: chmod 600"),
        ("machine 127.0.0.1\nS3CRET", 0o600, "Line 2 of the netrc file"),
        (None, 0, "which NETRC names, is not there"),
    ],
)
def test_a_netrc_file_that_cannot_be_used_stops_the_sending(
    tmp_path: Path,
    files: dict[LocalFile, str],
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    mode: int,
    sentence: str,
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if text is not None:
        write_netrc(tmp_path / "netrc", text, mode)
    with http_peer(lambda _: Reply(200)) as peer:
        said = problem(peer.url, next(iter(files)))
    assert sentence in said
    assert "S3CRET" not in said
    assert peer.requests == []


@pytest.mark.parametrize("status", [200, 400, 409])
def test_a_service_that_takes_objects_is_asked_without_one(status: int) -> None:
    with http_peer(lambda _: Reply(status)) as peer:
        ask_to_store(HttpClient(peer.url))
    (request,) = peer.requests
    assert (request.method, request.path) == ("POST", "/studies")
    assert b"Content-Type" not in request.body


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415, 501])
def test_a_service_that_lets_nobody_store_is_told_before_anything_is_sent(status: int) -> None:
    with (
        http_peer(lambda _: Reply(status)) as peer,
        pytest.raises(Unreachable, match=f"HTTP status {status}"),
    ):
        ask_to_store(HttpClient(peer.url))


def test_a_server_that_is_no_dicomweb_does_not_pass_for_one() -> None:
    with (
        http_peer(lambda _: Reply(200, b"<html>Log in</html>")) as peer,
        pytest.raises(Unreachable, match="does not answer as a DICOMweb service does"),
    ):
        probe(HttpClient(peer.url))


def test_a_picture_that_the_service_does_not_take_compressed_goes_decompressed(tmp_path: Path) -> None:
    shown = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    capture = secondary_capture(report_of(radiograph()), Image.fromarray(shown))
    file = LocalFile(tmp_path / "picture.dcm")
    file.path.write_bytes(to_bytes(capture))
    uid = str(capture.SOPInstanceUID)

    def answer(request: Request) -> Reply:
        came.append(dcmread(BytesIO(request.body.split(b"\r\n\r\n", 1)[1])))
        if came[-1].file_meta.TransferSyntaxUID.is_compressed:
            return Reply(409, store_response([], {uid: 0xC122}), JSON)
        return Reply(200, store_response([uid]), JSON)

    came: list[Dataset] = []
    with http_peer(answer) as peer:
        (sent,) = send(HttpClient(peer.url), [file])
    assert sent == Sent(file, 0)
    assert [one.SOPInstanceUID for one in came] == [uid, uid]
    assert (came[1].pixel_array == shown).all()
