"""Query and retrieve by DICOMweb: QIDO-RS and WADO-RS, and from here to the node by C-STORE."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from boneage_node.dicomweb.query import find_series, find_studies
from boneage_node.dicomweb.wado import retrieve_series
from boneage_node.dimse.store_scu import send
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery

from .source import Advance, Fetched, Plan, Source


@dataclass(frozen=True)
class DicomwebSource(Source):
    """A DICOMweb service; what is retrieved from it is sent to the node by C-STORE.

    Attributes:
        base_url: The service, without a slash at its end.
    """

    base_url: str

    def studies(self, query: StudyQuery, caller: Caller) -> list[FoundStudy]:
        """Find studies by QIDO-RS."""
        with HttpClient(self.base_url, caller.waits, caller.tls) as client:
            return find_studies(client, query)

    def series(self, study_instance_uid: str, caller: Caller) -> list[FoundSeries]:
        """Find series by QIDO-RS."""
        with HttpClient(self.base_url, caller.waits, caller.tls) as client:
            return find_series(client, study_instance_uid)

    def fetch(self, plan: Plan, node: Station, caller: Caller, advance: Advance) -> Fetched:
        """Retrieve the series by WADO-RS, then send what has come to the node."""
        fetched = Fetched()
        with tempfile.TemporaryDirectory(prefix="boneage-fetch-") as folder:
            files = self._retrieve(plan, Path(folder), fetched, caller)
            advance(0, len(files))
            for done, sent in enumerate(send(node, files, caller), 1):
                if sent.error is None:
                    fetched.arrived += 1
                elif sent.error not in fetched.problems:
                    fetched.problems.append(sent.error)
                advance(done, len(files))
        return fetched

    def _retrieve(self, plan: Plan, folder: Path, fetched: Fetched, caller: Caller) -> list[LocalFile]:
        """Retrieve what is planned into a folder; a series that fails is noted, and the others go on."""
        paths: list[Path] = []
        with HttpClient(self.base_url, caller.waits.retrieving, caller.tls) as client:
            for series in plan.wanted:
                try:
                    paths += retrieve_series(
                        client, plan.study.study_instance_uid, series.series_instance_uid, folder
                    )
                except QueryFailed as error:
                    fetched.problems.append(str(error))
        return [LocalFile(path) for path in paths]
