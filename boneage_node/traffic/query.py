"""Queries to a PACS and their matches, by DICOM or by DICOMweb.

No answer is believed: some PACS ignore keys that they do not know and answer with everything, and ``*`` and
``?`` in a number are wildcards to all of them. What is not what was asked for is left out here, whatever the
protocol.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from boneage_node.errors import BoneAgeError

from .uid import is_uid

MAX_MATCHES = 200
"""More than that is not what was meant."""

STUDY_KEYS = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "PatientID")
SERIES_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
"""Keys that are requested at either level; study and accession number are also matched by."""

Level = Literal["STUDY", "SERIES"]

Row = Mapping[str, str]
"""A match as text by keyword; what is not told is empty or not there."""

Found = TypeVar("Found", bound="FoundStudy | FoundSeries")


class QueryFailed(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The PACS did not do what was asked; the text says why and what mends it, without patient data."""


class QueryNotSupported(QueryFailed):
    """The PACS refuses a query of this kind; another kind may do."""


class Rows(NamedTuple):
    """What a PACS answered to a query.

    Attributes:
        rows: The matches.
        missing: Why there may be more that it did not tell, in a sentence; empty where there are not.
    """

    rows: Sequence[Row]
    missing: str = ""


@dataclass(frozen=True)
class Matches(Generic[Found]):
    """The matches of a query that were asked for, each once.

    Attributes:
        found: The matches.
        missing: As of `Rows`.
    """

    found: tuple[Found, ...]
    missing: str = ""


@dataclass(frozen=True)
class StudyQuery:
    """The studies that are asked for: one of the two is given.

    Attributes:
        accession_number: Accession Number, or None.
        study_instance_uid: Study Instance UID, or None.
    """

    accession_number: str | None = None
    study_instance_uid: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """The matching keys, by keyword."""
        keys = {"AccessionNumber": self.accession_number, "StudyInstanceUID": self.study_instance_uid}
        return {keyword: value for keyword, value in keys.items() if value is not None}

    def asks_for(self, row: Row) -> bool:
        """Tell whether a match is one."""
        return has_values(row, self.keys)


@dataclass(frozen=True)
class FoundStudy:
    """A study that a PACS has.

    Attributes:
        study_instance_uid: Study Instance UID.
        study_date: Study Date as ``YYYYMMDD``, empty where it is not told.
        patient_id: Patient ID, never to be shown; empty where it is not told.
    """

    study_instance_uid: str
    study_date: str
    patient_id: str = field(repr=False)


@dataclass(frozen=True)
class FoundSeries:
    """A series that a PACS has.

    Attributes:
        series_instance_uid: Series Instance UID.
        modality: Modality, empty where it is not told.
        images: How many instances it has; None where that is not told.
    """

    series_instance_uid: str
    modality: str
    images: int | None = None


def has_values(row: Row, keys: Mapping[str, str]) -> bool:
    """Tell whether a match has these very values, by keyword: letter by letter, in any form of Unicode."""
    return all(_same(row.get(keyword, ""), value) for keyword, value in keys.items())


def ask_again(
    keys: Mapping[str, str], beyond: re.Pattern[str], ask: Callable[[Mapping[str, str]], Rows]
) -> Rows:
    """Ask for keys, and once more with wildcards where a PACS may not have understood their letters.

    Args:
        keys: The matching keys, by keyword.
        beyond: Letters that a PACS may not understand.
        ask: Asks for values of the keys; its answers may have others, too.

    Raises:
        QueryFailed: As of ``ask``.
    """
    wild = {keyword: beyond.sub("*", value) for keyword, value in keys.items()}
    last_resort = wild != keys and all(value.strip("*?") for value in wild.values())
    try:
        first = ask(keys)
    except QueryNotSupported:
        if not last_resort:
            raise
        first = Rows(())
    if not last_resort or any(has_values(row, keys) for row in first.rows):
        return first
    second = ask(wild)
    return Rows([*first.rows, *second.rows], first.missing or second.missing)


def found_studies(query: StudyQuery, answer: Rows) -> Matches[FoundStudy]:
    """The studies of an answer that were asked for; one that is told twice for the same patient counts once.

    Raises:
        QueryFailed: Studies were found, and nothing says that they are those, or how they are to be fetched.
    """
    asked = [row for row in answer.rows if query.asks_for(row)]
    known = [row for row in asked if is_uid(row.get("StudyInstanceUID", ""))]
    if asked and not known:
        raise QueryFailed(
            "The PACS finds the study but does not tell its Study Instance UID: give it with --study."
        )
    if answer.rows and not asked and query.accession_number is not None:
        _explain_others(query.accession_number, answer.rows)
    studies = (
        FoundStudy(row["StudyInstanceUID"], row.get("StudyDate", ""), row.get("PatientID", ""))
        for row in known
    )
    return Matches(tuple(dict.fromkeys(studies)), answer.missing)


def found_series(study_instance_uid: str, answer: Rows) -> Matches[FoundSeries]:
    """The series of an answer that are of the study, each once."""
    series = {
        row["SeriesInstanceUID"]: FoundSeries(
            row["SeriesInstanceUID"],
            row.get("Modality", ""),
            _number(row.get("NumberOfSeriesRelatedInstances", "")),
        )
        for row in answer.rows
        if is_uid(row.get("SeriesInstanceUID", ""))
        and row.get("StudyInstanceUID", "") in ("", study_instance_uid)
    }
    return Matches(tuple(series.values()), answer.missing)


def _explain_others(accession_number: str, rows: Sequence[Row]) -> None:
    """Say why studies that a PACS found for a number are not taken, where the reason can be mended."""
    told = [row.get("AccessionNumber", "") for row in rows]
    if not any(told):
        raise QueryFailed(
            "The PACS finds studies but does not tell their accession numbers, so nothing says that they are "
            "the right ones: give the Study Instance UID with --study."
        )
    if any(_same(number.casefold(), accession_number.casefold()) for number in told):
        raise QueryFailed(
            "The PACS has the accession number in other letters, small or capital: write it as it is there."
        )


def _same(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
