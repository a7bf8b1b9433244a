"""A FHIR R4 server with a strict validator, private to the tests: see ``fhir_server/``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from .peers import absent
from .waiting import PATIENCE_SECONDS

FOLDER = Path(__file__).parent.parent / "fhir_server"
INSTALL = f"npm ci --ignore-scripts --prefix {FOLDER}"


class FhirServer:
    """Medplum's FHIR server in memory, on loopback with a free port.

    Args:
        node: Path of Node.js.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._client = httpx.Client(timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        # it ends when its standard input does, hence with the tests, however they end
        self._process = subprocess.Popen(
            [self._node, "server.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/fhir"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def problems(self, resource: dict[str, Any]) -> list[Any]:
        """What breaks R4 in a resource."""
        outcome = self._client.post(f"{self.url}/$validate", json=resource).json()
        return [issue for issue in outcome["issue"] if issue["severity"] in ("error", "fatal")]

    def search(self, query: str) -> list[dict[str, Any]]:
        """The resources that a search finds: ``Observation?status=preliminary``."""
        bundle = self._client.get(f"{self.url}/{query}").raise_for_status().json()
        return [entry["resource"] for entry in bundle.get("entry", [])]

    def update(self, resource: dict[str, Any]) -> None:
        """Put another version of a resource in its place."""
        url = f"{self.url}/{resource['resourceType']}/{resource['id']}"
        self._client.put(url, json=resource).raise_for_status()


@pytest.fixture(scope="session")
def fhir_server(require_peer: Callable[[str], str]) -> Iterator[FhirServer]:
    """The server, with what other tests have left in it."""
    node = require_peer("fhir")
    if not (FOLDER / "node_modules").exists():
        absent(f"the FHIR server is not installed: {INSTALL}")
    with FhirServer(node) as server:
        yield server
