"""Which real peers are here."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

PEERS = {
    "dcmtk": "storescu",
    "dicom3tools": "dciodvfy",
    "pixelmed": "DicomSRValidator",
    "fhir": "node",
    "orthanc": "Orthanc",
    "postgresql": "pg_ctl",
    "openssl": "openssl",
    "chromium": "chromium",
}


def find_program(program: str) -> str | None:
    """Path of a program, looked for where Debian hides servers too, not where pynetdicom puts its own."""
    hidden = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", *hidden]
    own = Path(sys.executable).parent
    return shutil.which(program, path=os.pathsep.join(f for f in folders if Path(f) != own))


def absent(message: str) -> NoReturn:
    """Skip a test whose peer is not here, or fail it where BONEAGE_REQUIRE_PEERS is set."""
    if os.environ.get("BONEAGE_REQUIRE_PEERS"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def require_peer() -> Callable[[str], str]:
    """Path of a peer's program; skips without it, or fails where BONEAGE_REQUIRE_PEERS is set."""

    def require(peer: str) -> str:
        path = find_program(PEERS[peer])
        if path is None:
            absent(f"{peer} is not installed ({PEERS[peer]} not found)")
        return path

    return require
