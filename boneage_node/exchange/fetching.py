"""Fetching studies from a PACS into the running node, by C-MOVE or by WADO-RS.

Whatever the way, images enter by C-STORE through the node's receiver, so that its promises hold for them.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from boneage_node.dicomweb.query import find_series, find_studies
from boneage_node.dicomweb.wado import retrieve_series
from boneage_node.dimse.query_scu import Pacs
from boneage_node.dimse.store_scu import send
from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.addresses import Station, is_url
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.radiograph.eligibility import MODALITIES
from boneage_node.settings import Settings
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery

CONNECT_SECONDS = 5.0

Advance = Callable[[int, int], None]
"""Called with the numbers of images done and of all, as far as it is known."""


@dataclass(frozen=True)
class Plan:
    """What is to be fetched of a study.

    Attributes:
        study: The study.
        wanted: Its series that may hold radiographs.
        left_out: The modalities of its other series, sorted.
    """

    study: FoundStudy
    wanted: tuple[FoundSeries, ...]
    left_out: tuple[str, ...]


@dataclass
class Fetched:
    """What has come of a plan.

    Attributes:
        arrived: How many images the node has taken.
        problems: What went wrong, in sentences.
    """

    arrived: int = 0
    problems: list[str] = field(default_factory=list)


class Source(Protocol):
    """A PACS, by one protocol or another."""

    def studies(self, query: StudyQuery) -> list[FoundStudy]:
        """The studies that match."""

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """The series of a study."""

    def fetch(self, plan: Plan, advance: Advance) -> Fetched:
        """Bring the images into the node."""


def open_source(source: str, settings: Settings) -> Source:
    """The PACS of a name such as `Settings.send_to` holds."""
    return _WebSource(source, settings) if is_url(source) else _DimseSource(source, settings)


def plan(source: Source, query: StudyQuery) -> list[Plan]:
    """Find what is to be fetched.

    Raises:
        Unreachable: The PACS is not there.
        QueryFailed: It refuses the query, has nothing, or its answer is ambiguous.
    """
    studies = source.studies(query)
    if not studies:
        raise QueryFailed(
            "The PACS has no such study: check the number, and that the PACS lets this node see the study."
        )
    if len({study.patient_id for study in studies}) > 1:
        found = ", ".join(f"{study.study_instance_uid} ({study.study_date})" for study in studies)
        raise QueryFailed(
            "Studies of several patients have this accession number, so nothing is fetched. Choose one with "
            f"--study: {found}."
        )
    plans = []
    for study in studies:
        series = source.series(study.study_instance_uid)
        wanted = tuple(one for one in series if one.modality.upper() in MODALITIES)
        left_out = tuple(sorted(one.modality for one in series if one not in wanted))
        plans.append(Plan(study, wanted, left_out))
    return plans


def require_node(settings: Settings) -> Station:
    """Where the running node takes images.

    Raises:
        NodeError: It is not running there.
    """
    host, secure = settings.host, settings.tls_certificate is not None
    if host in ("0.0.0.0", "::"):  # noqa: S104 - to know it, not to listen
        # over TLS, by the name that its certificate can hold
        host = socket.getfqdn() if secure else "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    if settings.port == 0:
        raise NodeError(
            ExitCode.USAGE, "The node's port is 0, any free one: set port to the one that it listens on."
        )
    node = Station(settings.ae_title, host, settings.port, secure)
    try:
        socket.create_connection((host, settings.port), CONNECT_SECONDS).close()
    except OSError as error:
        raise NodeError(
            ExitCode.FAILED,
            f"The node is not running at {node.address}: start it with boneage-node start, or name the "
            "settings that it runs with (--config).",
        ) from error
    return node


class _DimseSource:
    """A PACS that is asked by C-FIND, and sends to the node on C-MOVE."""

    def __init__(self, source: str, settings: Settings) -> None:
        self._pacs = Pacs(Station.parse(source), Caller(settings.ae_title, settings.tls))
        self._ae_title = settings.ae_title
        self.studies = self._pacs.studies
        self.series = self._pacs.series

    def fetch(self, plan: Plan, advance: Advance) -> Fetched:
        fetched = Fetched()
        wanted = [series.series_instance_uid for series in plan.wanted] if plan.left_out else []
        try:
            for progress in self._pacs.move(plan.study.study_instance_uid, wanted, self._ae_title):
                fetched.arrived = progress.completed
                advance(progress.completed, progress.completed + progress.failed + progress.remaining)
        except QueryFailed as error:
            fetched.problems.append(str(error))
        return fetched


class _WebSource:
    """A DICOMweb service; what is retrieved from it goes to the node by C-STORE."""

    def __init__(self, base_url: str, settings: Settings) -> None:
        self._base_url = base_url
        self._settings = settings
        self._caller = Caller(settings.ae_title, settings.tls)

    def studies(self, query: StudyQuery) -> list[FoundStudy]:
        with HttpClient(self._base_url) as client:
            return find_studies(client, query)

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        with HttpClient(self._base_url) as client:
            return find_series(client, study_instance_uid)

    def fetch(self, plan: Plan, advance: Advance) -> Fetched:
        fetched = Fetched()
        node = require_node(self._settings)
        with tempfile.TemporaryDirectory(prefix="boneage-fetch-") as temporary:
            files: list[Path] = []
            with HttpClient(self._base_url) as client:
                for series in plan.wanted:
                    try:
                        files += retrieve_series(
                            client,
                            plan.study.study_instance_uid,
                            series.series_instance_uid,
                            Path(temporary),
                        )
                    except QueryFailed as error:
                        fetched.problems.append(str(error))
            advance(0, len(files))
            for done, sent in enumerate(send(node, map(LocalFile, files), self._caller), 1):
                if sent.error is None:
                    fetched.arrived += 1
                elif sent.error not in fetched.problems:
                    fetched.problems.append(sent.error)
                advance(done, len(files))
        return fetched
