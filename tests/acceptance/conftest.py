"""A PACS that holds what the node made of the sample studies, and a radiologist's viewer on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.acceptance import Pacs
from support.node_process import NodeProcess, run
from support.ohif_peer import Viewer, ohif_site, viewer
from support.orthanc_peer import Orthanc
from support.peers import absent
from support.repository import REPOSITORY
from support.waiting import eventually

OHIF = Path(os.environ.get("BONEAGE_OHIF", REPOSITORY / ".cache" / "ohif" / "dist"))
SCREENSHOTS = REPOSITORY / "test-output" / "screenshots"
PATIENCE_SECONDS = 300.0


@pytest.fixture(scope="module")
def chromium(require_peer: Callable[[str], str]) -> str:
    """Path of the browser, where there is a viewer to look at with it."""
    if not (OHIF / "index.html").is_file():
        absent(f"the OHIF viewer is not in {OHIF}: tests/acceptance/fetch_ohif.sh fetches it")
    return require_peer("chromium")


@pytest.fixture(scope="module")
def pacs(
    chromium: str,  # without which there is nothing to do
    require_peer: Callable[[str], str],
    sample_dicom: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pacs]:
    folder = tmp_path_factory.mktemp("acceptance")
    with Orthanc(require_peer("orthanc"), folder / "orthanc") as orthanc:
        for file in sorted(sample_dicom.glob("*.dcm")):
            orthanc.upload(file)
        with NodeProcess(folder / "node", "--send-to", orthanc.destination) as node:
            sent = run("replay", sample_dicom, "--to", f"BONEAGE@127.0.0.1:{node.port}")
            assert sent.returncode == 0, sent.stderr
            results = eventually(lambda: _delivered(node), PATIENCE_SECONDS)
        yield Pacs(orthanc, results)


def _delivered(node: NodeProcess) -> dict[str, dict[str, Any]] | None:
    """Results by study, once every study has come to its end and what was made of it is with the PACS."""
    studies = node.studies()
    if not all(s["state"] in ("reported", "refused") and set(s["deliveries"]) == {"done"} for s in studies):
        return None
    return {study["study_instance_uid"]: study["result"] for study in studies}


@pytest.fixture(scope="module")
def ohif(chromium: str, pacs: Pacs) -> Iterator[Viewer]:
    with (
        ohif_site(OHIF, pacs.orthanc.http_port) as url,
        viewer(chromium, url, SCREENSHOTS) as window,
    ):
        yield window
