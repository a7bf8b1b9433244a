"""FHIR transactions (http.html#transaction) to a server."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from boneage_node.net.addresses import parse_base_url
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, printable, unreadable

from .destination import FHIR_FORMS, Destination

if TYPE_CHECKING:
    from pydicom.uid import UID

    from boneage_node.net.http import Answer, HttpClient

FHIR_JSON = "application/fhir+json"
FHIR_VERSIONS = ("4.0", "4.3")
"""R4, and R4B, which left our resources as they were."""
_SEVERITIES_OF_WARNINGS = ("warning", "error", "fatal")
_CONFLICT = 409
"""Two transactions at once, which may pass."""


@dataclass(frozen=True)
class FhirServer(Destination):
    """A FHIR server, to which each Bundle is posted as a transaction.

    Attributes:
        base_url: The server, without a slash at its end.
    """

    base_url: str
    forms: ClassVar[frozenset[DocumentForm]] = FHIR_FORMS
    example: ClassVar[str] = "the base URL of a FHIR server such as https://fhir.example/r4"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read the base URL of a FHIR server.

        Raises:
            ValueError: It is a URL, and no such base URL.
        """
        url = parse_base_url(text)
        return None if url is None else cls(url)

    def __str__(self) -> str:
        return self.base_url

    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        """Send Bundles of type ``transaction`` as they are, each by a request of its own."""
        from boneage_node.net.http import HttpClient, send_each

        return send_each(HttpClient(self.base_url, caller.waits, caller.tls), files, _send_one)

    def probe(self, caller: Caller, sop_classes: Collection[UID] = ()) -> str:
        """Ask for the CapabilityStatement, and whether it is of R4."""
        from boneage_node.net.http import HttpClient, NoAnswer

        started = time.monotonic()
        try:
            with HttpClient(self.base_url, caller.waits.brief, caller.tls) as client:
                # a statement of all that a server can do is long: tell the essentials alone
                answer = client.request(
                    "GET",
                    "/metadata",
                    headers={"Accept": FHIR_JSON},
                    params={"_summary": "true"},
                    max_bytes=16 * 2**20,
                )
                if answer.status != 200:
                    raise Unreachable(client.refusal(answer.status))
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        statement = _resource(answer)
        if statement.get("resourceType") != "CapabilityStatement":
            raise Unreachable(f"{self} does not answer as a FHIR server does: check the base URL.")
        version = str(statement.get("fhirVersion", ""))
        if not version.startswith(FHIR_VERSIONS):
            raise Unreachable(
                f"{self} is a FHIR server of another version than R4: name its base URL for R4."
            )
        rests = [_dict(rest) for rest in _list(statement.get("rest"))]
        told = {_dict(each).get("code") for rest in rests for each in _list(rest.get("interaction"))}
        if told and "transaction" not in told:  # a summary may leave them out
            raise Unreachable(f"{self} is a FHIR server that takes no transactions: have them allowed there.")
        return f"is a FHIR server ({version}), after {1000 * (time.monotonic() - started):.0f} ms"


def _send_one(client: HttpClient, file: StoredFile) -> Sent:
    from boneage_node.net.http import NoAnswer

    try:
        with file.open() as opened:
            content = opened.read()
    except OSError as error:
        return unreadable(file, error)
    headers = {"Content-Type": f"{FHIR_JSON}; charset=utf-8", "Accept": FHIR_JSON}
    try:
        answer = client.request("POST", "", headers=headers, content=content)
    except NoAnswer as error:
        return Sent(file, None, str(error))
    return _judge(client, file, answer)


def _judge(client: HttpClient, file: StoredFile, answer: Answer) -> Sent:
    """Read from an answer what became of the Bundle.

    Only the word of a FHIR server counts: a login page, too, comes with status 200, and the refusal of a
    proxy says nothing of the Bundle.
    """
    resource = _resource(answer)
    if 200 <= answer.status < 300:
        return _judge_success(file, answer.status, resource)
    is_outcome = resource.get("resourceType") == "OperationOutcome"
    return Sent(
        file,
        None,
        f"Not stored: {client.refusal(answer.status)}",
        permanent=is_outcome and _is_permanent(answer.status),
        remark=_remark(_issues(resource)) if is_outcome else None,
    )


def _resource(answer: Answer) -> dict[str, Any]:
    """The resource in an answer; empty where there is none."""
    try:
        return _dict(json.loads(answer.body))
    except (ValueError, RecursionError):
        return {}


def _judge_success(file: StoredFile, http_status: int, resource: dict[str, Any]) -> Sent:
    """Read from an answer of success whether the transaction was carried out, and nothing else."""
    kind = (resource.get("resourceType"), resource.get("type"))
    if kind == ("Bundle", "transaction-response") and isinstance(resource.get("entry", []), list):
        return _judge_response(file, resource)
    if kind in (("Bundle", "transaction"), ("Bundle", "batch-response")):
        done = "stored the Bundle itself" if kind[1] == "transaction" else "took the Bundle for a batch"
        problem = (
            f"The server {done} instead of carrying out the transaction (HTTP status {http_status}): set the "
            "base URL of the FHIR server, without /Bundle, then retry."
        )
        return Sent(file, None, problem, permanent=True)
    return Sent(
        file,
        None,
        f"The answer does not say that the transaction was carried out (HTTP status {http_status}): "
        "check that the base URL is that of a FHIR server.",
        remark=_remark(_issues(resource)),
    )


def _judge_response(file: StoredFile, response: dict[str, Any]) -> Sent:
    """Read what became of each resource of a transaction, which is carried out as a whole or not at all."""
    responses = [_dict(_dict(entry).get("response")) for entry in _list(response.get("entry"))]
    statuses = [str(each.get("status") or "missing")[:7].partition(" ")[0] for each in responses]
    failed = [status for status in statuses if not status.startswith(("2", "304"))]
    issues = [issue for each in responses for issue in _issues(_dict(each.get("outcome")))]
    if failed:
        return Sent(
            file,
            None,
            f"The server says that it did not store {len(failed)} of {len(statuses)} resources "
            f"(HTTP status {', '.join(sorted(set(failed)))}).",
            permanent=all(status.isdecimal() and _is_permanent(int(status)) for status in failed),
            remark=_remark(issues),
        )
    warnings = [issue for issue in issues if issue.get("severity") in _SEVERITIES_OF_WARNINGS]
    if warnings:
        warning = "The server stored the resources, and warns about them."
        return Sent(file, None, warning=warning, remark=_remark(warnings))
    if not responses:
        warning = "The server says that it carried out the transaction, and does not name what it stored."
        return Sent(file, None, warning=warning)
    return Sent(file, None)


def _is_permanent(status: int) -> bool:
    from boneage_node.net.http import is_permanent

    return status != _CONFLICT and is_permanent(status)


def _issues(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """The issues of an OperationOutcome, of any quality."""
    return [issue for issue in _list(outcome.get("issue")) if isinstance(issue, dict)]


def _remark(issues: Iterable[dict[str, Any]]) -> str | None:
    """Text of issues, of any quality; it may quote what was sent."""
    said = []
    for issue in issues:
        text = _dict(issue.get("details")).get("text")
        said += [str(part) for part in (issue.get("diagnostics"), text) if part]
    return printable(said)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
