"""Query and retrieve by DICOMweb: QIDO-RS and WADO-RS, and from here to the node by C-STORE."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from boneage_node.dicomweb.query import find
from boneage_node.dicomweb.wado import retrieve
from boneage_node.dimse.store_scu import send
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.query import FoundSeries, Level, Rows

from .source import Advance, Fetched, Plan, RunningNode, Source


@dataclass(frozen=True)
class DicomwebSource(Source):
    """A DICOMweb service; what is retrieved from it is sent to the node by C-STORE.

    Attributes:
        base_url: The service, without a slash at its end.
    """

    base_url: str

    def ask(self, level: Level, keys: Mapping[str, str], caller: Caller) -> Rows:
        """Ask by QIDO-RS."""
        with HttpClient(self.base_url, caller.waits, caller.tls) as client:
            return find(client, level, keys)

    def fetch(self, plan: Plan, node: RunningNode, caller: Caller, advance: Advance) -> Fetched:
        """Retrieve by WADO-RS, then send what has come to the node."""
        fetched = Fetched()
        with tempfile.TemporaryDirectory(prefix="boneage-fetch-") as folder:
            files = self._retrieve(plan, Path(folder), fetched, caller)
            advance(0, len(files))
            for done, sent in enumerate(send(node.station, files, caller), 1):
                if sent.error is None:
                    fetched.arrived += 1
                else:
                    _note(fetched, sent.error)
                advance(done, len(files))
        return fetched

    def _retrieve(self, plan: Plan, folder: Path, fetched: Fetched, caller: Caller) -> list[LocalFile]:
        """Retrieve what is planned into a folder; what fails is noted, and all else goes on."""
        paths: list[Path] = []
        wanted: tuple[FoundSeries | None, ...] = (None,) if plan.wanted is None else plan.wanted
        try:
            with HttpClient(self.base_url, caller.waits.retrieving, caller.tls) as client:
                for series in wanted:
                    paths += _retrieve(client, plan, series, folder, fetched)
        except Unreachable as error:
            _note(fetched, str(error))
        return [LocalFile(path) for path in paths]


def _retrieve(
    client: HttpClient, plan: Plan, series: FoundSeries | None, folder: Path, fetched: Fetched
) -> list[Path]:
    """Retrieve a series, or the whole study; gives the files of what has come."""
    uid, expected = (series.series_instance_uid, series.images) if series else (None, None)
    try:
        retrieved = retrieve(client, plan.study.study_instance_uid, uid, folder)
    except Unreachable as error:  # or the service has it no more: the next series may be there
        _note(fetched, str(error))
        return []
    if retrieved.problem:
        _note(fetched, retrieved.problem)
    if expected is not None and len(retrieved.files) < expected:
        _note(fetched, f"Of {expected} images that the PACS has in a series, {len(retrieved.files)} came.")
    return retrieved.files


def _note(fetched: Fetched, problem: str) -> None:
    """Tell a problem once, however many images have it."""
    if problem not in fetched.problems:
        fetched.problems.append(problem)
