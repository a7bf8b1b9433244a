"""DCMTK's programs as peers: a modality, a station that answers, an archive."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from .ports import free_port, listens
from .waiting import PATIENCE_SECONDS, eventually

Run = Callable[..., subprocess.CompletedProcess[str]]
Archive = Callable[..., AbstractContextManager[int]]

PROFILES = Path(__file__).parent / "storescu.cfg"


@pytest.fixture(scope="session")
def dcmtk(require_peer: Callable[[str], str]) -> Run:
    """Runs one of DCMTK's programs."""
    folder = Path(require_peer("dcmtk")).parent

    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(folder / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)

    return run


@pytest.fixture(scope="session")
def storescu(dcmtk: Run) -> Run:
    """DCMTK's modality: sends files in the transfer syntax they have."""

    def send(port: int, *files: Path, called: str = "BONEAGE") -> subprocess.CompletedProcess[str]:
        return dcmtk("storescu", "-xf", PROFILES, "Any", "-aec", called, "127.0.0.1", port, *files)

    return send


@pytest.fixture(scope="session")
def storescp(require_peer: Callable[[str], str]) -> Archive:
    """Runs DCMTK's storage SCP with some options; gives its port once it listens."""
    program = Path(require_peer("dcmtk")).parent / "storescp"

    @contextmanager
    def run(*options: object) -> Iterator[int]:
        port = free_port()
        process = subprocess.Popen([str(program), *map(str, options), str(port)])
        try:
            eventually(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None, "storescp ended by itself"
            yield port
        finally:
            process.kill()
            process.wait()

    return run
