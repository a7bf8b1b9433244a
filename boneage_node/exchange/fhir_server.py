"""FHIR transactions (http.html#transaction) to a server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from boneage_node.net.addresses import parse_base_url
from boneage_node.net.calling import Caller
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, unreadable

from .destination import FHIR_FORMS, Destination

if TYPE_CHECKING:
    from boneage_node.net.http import Answer, HttpClient

FHIR_JSON = "application/fhir+json"
FHIR_VERSIONS = ("4.0", "4.3")
"""R4, and R4B, which left our resources as they were."""
_CONFLICT = 409
"""Two transactions at once, which may pass."""
_REMARK_CHARACTERS_MAX = 1000


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

    def probe(self, caller: Caller) -> str:
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
                    raise Unreachable(client.refusal(answer))
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
        if _all_done(resource):
            return Sent(file, None)
        return Sent(
            file,
            None,
            f"The answer does not say that the transaction was carried out (HTTP status {answer.status}): "
            "check that the base URL is that of a FHIR server.",
        )
    is_outcome = resource.get("resourceType") == "OperationOutcome"
    return Sent(
        file,
        None,
        f"Not stored: {client.refusal(answer)}",
        permanent=is_outcome and answer.is_permanent and answer.status != _CONFLICT,
        remark=_remark(resource) if is_outcome else None,
    )


def _resource(answer: Answer) -> dict[str, Any]:
    """The resource in an answer; empty where there is none."""
    try:
        resource = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return resource if isinstance(resource, dict) else {}


def _all_done(resource: dict[str, Any]) -> bool:
    """Whether a resource says that every entry of a transaction was carried out."""
    try:
        statuses = [str(entry["response"]["status"]) for entry in resource["entry"]]
    except (LookupError, TypeError):
        return False
    is_response = (resource.get("resourceType"), resource.get("type")) == ("Bundle", "transaction-response")
    return (
        is_response
        and bool(statuses)
        and all(status[:1] == "2" or status[:3] == "304" for status in statuses)
    )


def _remark(outcome: dict[str, Any]) -> str | None:
    """Text of an OperationOutcome, of any quality; it may quote what was sent."""
    issues = outcome.get("issue")
    said = []
    for issue in issues if isinstance(issues, list) else []:
        if isinstance(issue, dict):
            details = issue.get("details")
            text = details.get("text") if isinstance(details, dict) else None
            said += [str(part) for part in (issue.get("diagnostics"), text) if part]
    remark = "".join(character if character.isprintable() else " " for character in "; ".join(said))
    return remark[:_REMARK_CHARACTERS_MAX] or None
