"""A private Orthanc for tests: its own configuration and database in a folder, free ports, loopback only."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .peers import absent
from .ports import free_port
from .waiting import PATIENCE_SECONDS, eventually

DICOM_WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """An Orthanc that can be started and stopped again and again with the same ports and content.

    Args:
        program: Path of the Orthanc executable.
        folder: Where to keep its configuration, database and log.
        ae_title: Its AE title; it takes associations that call it by another one, too, unless configured.
        login: Name and password that HTTP then needs.
        modalities: Stations it can send to: name -> (AE title, host, port).
        **configuration: Anything else to put into its configuration, such as ``DicomCheckCalledAet=True``.

    Attributes:
        dicom_port: Where it takes C-STORE.
        http_port: Where its REST API and DICOMweb are.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        *,
        ae_title: str = "ORTHANC",
        login: tuple[str, str] | None = None,
        modalities: dict[str, tuple[str, str, int]] | None = None,
        **configuration: Any,
    ) -> None:
        self._program = program
        self._folder = folder
        self._login = login
        self.ae_title = ae_title
        self.dicom_port = free_port()
        self.http_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration = {
            "Name": "PACS",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": [str(DICOM_WEB_PLUGIN)],
            "HttpPort": self.http_port,
            "HttpBindAddresses": ["127.0.0.1"],
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": login is not None,
            "RegisteredUsers": dict([login] if login else []),
            "DicomServerEnabled": True,
            "DicomAet": ae_title,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "UnknownSopClassAccepted": False,
            "OverwriteInstances": True,
            "StableAge": 1,
            "DefaultEncoding": "Utf8",
            "DicomModalities": {name: list(station) for name, station in (modalities or {}).items()},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Ssl": False},
            **configuration,
        }

    @property
    def url(self) -> str:
        """Base of the REST API, without a slash at the end."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicom_web(self) -> str:
        """Base URL of DICOMweb, as the node's settings write a destination."""
        return f"{self.url}/dicom-web"

    @property
    def destination(self) -> str:
        """``AE@host:port``, as the node's settings write a destination."""
        return f"{self.ae_title}@127.0.0.1:{self.dicom_port}"

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = self._folder / "orthanc.json"
        settings.write_text(json.dumps(self._configuration))
        with (self._folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, str(settings)], stdout=log, stderr=log)
        try:
            eventually(self._answers)
        except AssertionError:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"Orthanc ended:\n{(self._folder / 'orthanc.log').read_text()}")
        try:
            self.get("/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def stop(self) -> None:
        """Stop it, at once; what it stored stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def get_bytes(self, path: str) -> bytes:
        """The body of a GET, such as ``/instances/{id}/file``."""
        return self._ask("GET", path)

    def get(self, path: str) -> Any:
        """The JSON of a GET, such as ``/instances``."""
        return json.loads(self.get_bytes(path))

    def post(self, path: str, body: bytes | dict[str, Any] | list[Any]) -> Any:
        """The JSON that a POST answers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return json.loads(self._ask("POST", path, data) or b"null")

    def upload(self, file: Path) -> str:
        """Put a DICOM file in; the id that Orthanc gives the instance."""
        identifier: str = self.post("/instances", file.read_bytes())["ID"]
        return identifier

    def store(self, modality: str, identifiers: list[str]) -> Any:
        """Let it C-STORE to one of its ``modalities``; raises urllib's HTTPError when that fails."""
        return self.post(f"/modalities/{modality}/store", identifiers)

    def find(self, sop_instance_uid: str) -> str | None:
        """Orthanc's id of an instance, or None where it has none."""
        found = self.post("/tools/find", {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}})
        return found[0] if found else None

    def delete_all(self) -> None:
        """Remove all that it has stored."""
        for patient in self.get("/patients"):
            self._ask("DELETE", f"/patients/{patient}")

    def _ask(self, method: str, path: str, data: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, data, method=method)
        if self._login:
            login = base64.b64encode(":".join(self._login).encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            body: bytes = answer.read()
        return body


@pytest.fixture(scope="session")
def orthanc_program(require_peer: Callable[[str], str]) -> str:
    """Path of Orthanc, where its DICOMweb plugin is here, too."""
    program = require_peer("orthanc")
    if not DICOM_WEB_PLUGIN.exists():
        absent("Orthanc's DICOMweb plugin is not installed")
    return program


@pytest.fixture
def orthanc(orthanc_program: str, tmp_path: Path) -> Iterator[Orthanc]:
    """An empty PACS."""
    with Orthanc(orthanc_program, tmp_path / "orthanc") as pacs:
        yield pacs
