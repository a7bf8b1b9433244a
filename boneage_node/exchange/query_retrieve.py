"""Query and retrieve by DICOM: the PACS is asked by C-FIND, and sends to the node on C-MOVE."""

from __future__ import annotations

from dataclasses import dataclass

from boneage_node.dimse.query_scu import Pacs
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery

from .source import Advance, Fetched, Plan, Source


@dataclass(frozen=True)
class QueryRetrieve(Source):
    """A PACS that is asked by C-FIND, and sends to the node on C-MOVE.

    Attributes:
        address: The PACS.
    """

    address: Station

    def studies(self, query: StudyQuery, caller: Caller) -> list[FoundStudy]:
        """Find studies by C-FIND."""
        return self._pacs(caller).studies(query)

    def series(self, study_instance_uid: str, caller: Caller) -> list[FoundSeries]:
        """Find series by C-FIND."""
        return self._pacs(caller).series(study_instance_uid)

    def fetch(self, plan: Plan, node: Station, caller: Caller, advance: Advance) -> Fetched:
        """Have the PACS send to the node, which it must know."""
        fetched = Fetched()
        wanted = [series.series_instance_uid for series in plan.wanted] if plan.left_out else []
        try:
            for progress in self._pacs(caller).move(plan.study.study_instance_uid, wanted, node.ae_title):
                fetched.arrived = progress.completed
                advance(progress.completed, progress.completed + progress.failed + progress.remaining)
        except QueryFailed as error:
            fetched.problems.append(str(error))
        return fetched

    def _pacs(self, caller: Caller) -> Pacs:
        return Pacs(self.address, caller)
