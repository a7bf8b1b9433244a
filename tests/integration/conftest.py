"""Peers and nodes for the integration tests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.orthanc_peer import Orthanc
from support.peers import PostgreSQL


@pytest.fixture(scope="session")
def orthanc_program(require_peer: Callable[[str], str]) -> str:
    return require_peer("orthanc")


@pytest.fixture
def orthanc(orthanc_program: str, tmp_path: Path) -> Iterator[Orthanc]:
    with Orthanc(orthanc_program, tmp_path / "orthanc") as pacs:
        yield pacs


@pytest.fixture(scope="session")
def node_postgresql(require_peer: Callable[[str], str]) -> Iterator[PostgreSQL]:
    with PostgreSQL(require_peer("postgresql")) as cluster:
        yield cluster


@pytest.fixture
def storescu(require_peer: Callable[[str], str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """DCMTK's modality: sends files in the transfer syntax they have."""
    program = require_peer("dcmtk")

    def send(port: int, *files: Path, called: str = "BONEAGE") -> subprocess.CompletedProcess[str]:
        profiles = Path(__file__).parent / "storescu.cfg"
        command = [program, "-xf", str(profiles), "Any", "-aec", called, "127.0.0.1", str(port)]
        return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=120)

    return send
