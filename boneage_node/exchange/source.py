"""The base of all sources: a PACS that studies are fetched from, each by its protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.query import (
    FoundSeries,
    FoundStudy,
    Level,
    Matches,
    Rows,
    StudyQuery,
    found_series,
    found_studies,
)

from .arrivals import Arrivals

Advance = Callable[[int, int], None]
"""Called with the numbers of images done and of all, as far as it is known."""


@dataclass(frozen=True)
class Plan:
    """The part of a study that is to be fetched.

    Attributes:
        study: The study.
        wanted: Its series that may hold radiographs; None for all of it, where the PACS lists no series.
        left_out: The modalities of its other series, sorted.
        missing: Why there may be more to fetch that the PACS did not tell of, in sentences.
    """

    study: FoundStudy
    wanted: tuple[FoundSeries, ...] | None
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def images(self) -> int | None:
        """How many images there are to be fetched, where the PACS tells it of each series."""
        told = [series.images for series in self.wanted or ()]
        return sum(filter(None, told)) if told and None not in told else None


@dataclass(frozen=True)
class RunningNode:
    """The node that takes the images in.

    Attributes:
        station: Where it listens.
        arrivals: What its store has; None where that cannot be seen from here.
    """

    station: Station
    arrivals: Arrivals | None = None


@dataclass
class Fetched:
    """The outcome of a plan.

    Attributes:
        arrived: How many images the node has taken.
        problems: What went wrong, in sentences.
        notes: What is odd and cost no image, in sentences.
    """

    arrived: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Source(ABC):
    """A PACS that studies are fetched from; a frozen dataclass for each protocol, in a file of its own."""

    def studies(self, query: StudyQuery, caller: Caller) -> Matches[FoundStudy]:
        """Find the studies that match.

        Raises:
            Unreachable: There is no connection.
            QueryFailed: The PACS refuses the query, finds too much, or does not tell enough.
        """
        return found_studies(query, self.ask("STUDY", query.keys, caller))

    def series(self, study_instance_uid: str, caller: Caller) -> Matches[FoundSeries]:
        """Find the series of a study; errors as of `studies`.

        Raises:
            QueryNotSupported: The PACS takes no query at this level.
        """
        keys = {"StudyInstanceUID": study_instance_uid}
        return found_series(study_instance_uid, self.ask("SERIES", keys, caller))

    @abstractmethod
    def ask(self, level: Level, keys: Mapping[str, str], caller: Caller) -> Rows:
        """Ask the PACS for what matches keys; its answer is not judged.

        Args:
            level: What is asked for; of series, ``keys`` names the study.
            keys: The matching keys, by keyword.
            caller: How the node calls.

        Raises:
            Unreachable: There is no connection.
            QueryFailed: The PACS refuses the query, or finds more than `MAX_MATCHES`.
        """

    @abstractmethod
    def fetch(self, plan: Plan, node: RunningNode, caller: Caller, advance: Advance) -> Fetched:
        """Bring images into the node, through its receiver; whatever fails is told in the outcome."""
