"""Transactions to a server that answers what a test tells it to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.http_peer import Reply, Request, http_peer
from support.ports import free_port

from boneage_node.exchange.fhir_server import FhirServer
from boneage_node.net.calling import Caller
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Sent, Unreachable

JSON = {"Content-Type": "application/fhir+json;charset=utf-8"}
CALLER = Caller("BONEAGE")


pytestmark = pytest.mark.usefixtures("no_netrc")


@pytest.fixture
def files(tmp_path: Path) -> list[LocalFile]:
    files = [LocalFile(tmp_path / f"{number}.json") for number in range(3)]
    for file in files:
        file.path.write_text(f'{{"resourceType":"Bundle","id":"{file.path.stem}-Ä"}}', encoding="utf-8")
    return files


def response(*statuses: object, kind: str = "transaction-response") -> bytes:
    entries = [{"response": {"status": status}} for status in statuses]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def outcome(*issues: Any) -> bytes:
    return json.dumps({"resourceType": "OperationOutcome", "issue": list(issues)}).encode()


def send_one(files: list[LocalFile], reply: Reply) -> Sent:
    with http_peer(lambda _: reply) as peer:
        (sent,) = FhirServer(peer.url).send(files[:1], CALLER)
    return sent


def test_bundles_go_as_they_are_in_order_to_the_base_url(files: list[LocalFile]) -> None:
    with http_peer(lambda _: Reply(200, response("201 Created", "200"), JSON)) as peer:
        sent = list(FhirServer(f"{peer.url}/fhir").send(files, CALLER))
    assert sent == [Sent(file, None) for file in files]
    for file, request in zip(files, peer.requests, strict=True):
        assert (request.method, request.path) == ("POST", "/fhir")
        assert request.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
        assert request.headers["Accept"] == "application/fhir+json"
        assert request.body == file.path.read_bytes()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Please log in</html>",
        b"[]",
        b'"Bundle"',
        b"[" * 100_000,
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"transaction-response","entry":3}',
    ],
)
def test_success_is_what_a_fhir_server_says_it_is(files: list[LocalFile], body: bytes) -> None:
    sent = send_one(files, Reply(200, body, JSON))
    assert sent.error is not None
    assert "check that the base URL is that of a FHIR server" in sent.error
    assert not sent.permanent


@pytest.mark.parametrize(
    ("body", "permanent"),
    [
        (response("201", "400 Bad Request"), True),
        (response("201", "400", "500"), False),
        (response("409 Conflict"), False),
        (response(None), False),
        (b'{"resourceType":"Bundle","type":"transaction-response","entry":[{}]}', False),
        (b'{"resourceType":"Bundle","type":"transaction-response","entry":["x"]}', False),
    ],
)
def test_a_resource_that_was_not_stored_is_told(files: list[LocalFile], body: bytes, permanent: bool) -> None:
    sent = send_one(files, Reply(200, body, JSON))
    assert sent.error is not None
    assert "The server says that it did not store 1 of" in sent.error or "2 of 3" in sent.error
    assert sent.permanent == permanent


@pytest.mark.parametrize(
    ("status", "body"),
    [(201, b'{"resourceType":"Bundle","type":"transaction"}'), (200, response("201", kind="batch-response"))],
)
def test_a_server_that_does_something_else_with_a_bundle_is_told_once(
    files: list[LocalFile], status: int, body: bytes
) -> None:
    """It has stored something: each repetition would be one more."""
    sent = send_one(files, Reply(status, body, JSON))
    assert sent.permanent
    assert sent.error is not None
    assert "without /Bundle" in sent.error


def test_a_transaction_carried_out_with_a_warning_leaves_a_trace(files: list[LocalFile]) -> None:
    def entry(severity: str) -> dict[str, Any]:
        said = {"issue": [{"severity": severity, "diagnostics": f"Doe^John {severity}"}]}
        return {"response": {"status": "201", "outcome": {"resourceType": "OperationOutcome", **said}}}

    bundle = {"resourceType": "Bundle", "type": "transaction-response"}
    quiet = json.dumps(bundle | {"entry": [entry("information")]}).encode()
    assert send_one(files, Reply(200, quiet, JSON)) == Sent(files[0], None)
    loud = json.dumps(bundle | {"entry": [entry("information"), entry("warning")]}).encode()
    sent = send_one(files, Reply(200, loud, JSON))
    assert sent.delivered
    assert sent.remark == "Doe^John warning"
    assert sent.warning == "The server stored the resources, and warns about them."
    unnamed = send_one(files, Reply(200, response(), JSON))
    assert unnamed.delivered
    assert unnamed.warning is not None
    assert "does not name what it stored" in unnamed.warning


@pytest.mark.parametrize("status", [400, 409, 412, 413, 422, 403, 408, 500, 502, 507])
@pytest.mark.parametrize("by_fhir_server", [True, False])
def test_what_a_server_refuses_is_permanent_where_it_speaks_of_the_bundle(
    files: list[LocalFile], status: int, by_fhir_server: bool
) -> None:
    said = outcome({"severity": "error", "diagnostics": "Doe^John"}) if by_fhir_server else b"nginx"
    sent = send_one(files, Reply(status, said, JSON))
    assert sent.error is not None
    assert f"(HTTP status {status})" in sent.error
    assert sent.permanent == (by_fhir_server and status in (400, 412, 422))
    assert "Doe" not in sent.error
    assert sent.remark == ("Doe^John" if by_fhir_server else None)


@pytest.mark.parametrize("status", [301, 401, 404, 429, 503])
def test_what_any_request_would_get_is_said_of_all_that_wait(files: list[LocalFile], status: int) -> None:
    body = outcome({"severity": "error", "diagnostics": "no"})
    with http_peer(lambda _: Reply(status, body, JSON)) as peer:
        sent = list(FhirServer(peer.url).send(files, CALLER))
    assert len(peer.requests) == 1
    assert [one.file for one in sent] == files
    assert all(one.error and not one.permanent for one in sent)


@pytest.mark.parametrize(
    ("body", "remark"),
    [
        (outcome({"details": {"text": "a"}, "diagnostics": "b\x00\nc"}, {"diagnostics": "d"}), "b  c; a; d"),
        (outcome({"diagnostics": "x" * 5000}), "x" * 1000),
        (outcome({"details": "a"}, 3, {"details": {"text": None}}), None),
        (b'{"resourceType":"OperationOutcome","issue":{"diagnostics":"a"}}', None),
        (b'{"resourceType":"OperationOutcome"}', None),
    ],
)
def test_an_outcome_of_any_quality_is_a_remark(
    files: list[LocalFile], body: bytes, remark: str | None
) -> None:
    sent = send_one(files, Reply(422, body, JSON))
    assert sent.permanent
    assert sent.remark == remark


def test_nobody_there_is_said_of_all(files: list[LocalFile]) -> None:
    sent = list(FhirServer(f"http://127.0.0.1:{free_port()}/fhir").send(files, CALLER))
    assert [one.file for one in sent] == files
    assert all(one.error and "Nothing listens on 127.0.0.1" in one.error for one in sent)


def test_an_answer_that_breaks_off_leaves_the_rest_their_chance(files: list[LocalFile]) -> None:
    def reply(request: Request) -> Reply:
        broken = b"0-" in request.body
        breaks_off = {"Content-Length": "5000", "Connection": "close"}
        return Reply(200, response("201"), JSON | (breaks_off if broken else {}))

    with http_peer(reply) as peer:
        sent = list(FhirServer(peer.url).send(files, CALLER))
    assert [one.delivered for one in sent] == [False, True, True]
    assert not sent[0].permanent


def test_a_file_that_is_gone_is_not_sent(files: list[LocalFile]) -> None:
    files[0].path.unlink()
    with http_peer(lambda _: Reply(200, response("201"), JSON)) as peer:
        sent = list(FhirServer(peer.url).send(files, CALLER))
    assert [one.permanent for one in sent] == [False, False, False]  # its disk may be away
    assert [one.delivered for one in sent] == [False, True, True]


def statement(version: str, *interactions: str) -> bytes:
    rest = [{"mode": "server", "interaction": [{"code": code} for code in interactions]}]
    told = {"resourceType": "CapabilityStatement", "fhirVersion": version, "rest": rest}
    return json.dumps(told).encode()


def test_a_server_says_that_it_speaks_r4() -> None:
    with http_peer(lambda _: Reply(200, statement("4.0.1", "batch", "transaction"), JSON)) as peer:
        assert FhirServer(f"{peer.url}/fhir").probe(CALLER).startswith("is a FHIR server (4.0.1), after ")
    assert peer.requests[0].path == "/fhir/metadata?_summary=true"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(200, statement("5.0.0"), JSON), "of another version than R4"),
        (Reply(200, statement("3.0.2"), JSON), "of another version than R4"),
        (Reply(200, statement("4.0.1", "batch"), JSON), "takes no transactions"),
        (Reply(200, b"<html>", {}), "does not answer as a FHIR server does"),
        (Reply(500, b"", {}), "failed"),
        (Reply(404, b"", {}), "has nothing at this address"),
    ],
)
def test_what_is_no_r4_server_is_told(reply: Reply, problem: str) -> None:
    with http_peer(lambda _: reply) as peer, pytest.raises(Unreachable, match=problem):
        FhirServer(peer.url).probe(CALLER)
