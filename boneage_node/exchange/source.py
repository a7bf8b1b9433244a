"""The base of all sources: a PACS that studies are fetched from, each by its protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.query import FoundSeries, FoundStudy, StudyQuery

Advance = Callable[[int, int], None]
"""Called with the numbers of images done and of all, as far as it is known."""


@dataclass(frozen=True)
class Plan:
    """The part of a study that is to be fetched.

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
    """The outcome of a plan.

    Attributes:
        arrived: How many images the node has taken.
        problems: What went wrong, in sentences.
    """

    arrived: int = 0
    problems: list[str] = field(default_factory=list)


class Source(ABC):
    """A PACS that studies are fetched from; a frozen dataclass for each protocol, in a file of its own."""

    @abstractmethod
    def studies(self, query: StudyQuery, caller: Caller) -> list[FoundStudy]:
        """Find the studies that match.

        Raises:
            Unreachable: There is no connection.
            QueryFailed: The PACS refuses the query, or finds too much.
        """

    @abstractmethod
    def series(self, study_instance_uid: str, caller: Caller) -> list[FoundSeries]:
        """Find the series of a study.

        Raises:
            Unreachable: There is no connection.
            QueryFailed: The PACS refuses the query, or finds too much.
        """

    @abstractmethod
    def fetch(self, plan: Plan, node: Station, caller: Caller, advance: Advance) -> Fetched:
        """Bring images into the node, through its receiver.

        Raises:
            Unreachable: There is no connection to the PACS.
        """
