"""Asking a DICOMweb service what it has, by QIDO-RS (PS3.18, 10.6)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from boneage_node.net.http import HttpClient, NoAnswer
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery
from boneage_node.traffic.uid import is_uid

from .json_model import DICOM_JSON, NotDicomJson, data_sets, text

MAX_MATCHES = 200
"""More than that is not what was meant."""
MAX_ANSWER_BYTES = 8 * 2**20
_NOBODYS_STUDY = "2.25.0"
"""A Study Instance UID that no study has: asking for it costs little, and no patient's data comes back."""

_ACCESSION_NUMBER, _STUDY_DATE, _MODALITY, _PATIENT_ID = "00080050", "00080020", "00080060", "00100020"
_STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID = "0020000D", "0020000E"


def probe(client: HttpClient) -> float:
    """Ask a DICOMweb service whether it is there.

    Args:
        client: The service, not opened yet.

    Returns:
        The seconds that connection and query took.

    Raises:
        Unreachable: It is not, or does not answer as QIDO-RS does.
    """
    started = time.monotonic()
    try:
        with client:
            _query(client, "/studies", {"StudyInstanceUID": _NOBODYS_STUDY, "limit": "1"})
    except QueryFailed as error:
        raise Unreachable(str(error)) from error
    return time.monotonic() - started


def find_studies(client: HttpClient, query: StudyQuery) -> list[FoundStudy]:
    """The studies that match.

    Raises:
        Unreachable: There is no connection.
        QueryFailed: The service refuses the question, or finds more than `MAX_MATCHES`.
    """
    return [
        FoundStudy(text(match, _STUDY_INSTANCE_UID), text(match, _STUDY_DATE), text(match, _PATIENT_ID))
        for match in _query(client, "/studies", query.keys)
        if query.matches(text(match, _ACCESSION_NUMBER), text(match, _STUDY_INSTANCE_UID))
        and is_uid(text(match, _STUDY_INSTANCE_UID))
    ]


def find_series(client: HttpClient, study_instance_uid: str) -> list[FoundSeries]:
    """The series of a study.

    Raises:
        Unreachable: There is no connection.
        QueryFailed: The service refuses the question, or finds more than `MAX_MATCHES`.
    """
    return [
        FoundSeries(text(match, _SERIES_INSTANCE_UID), text(match, _MODALITY))
        for match in _query(client, f"/studies/{study_instance_uid}/series", {})
        if is_uid(text(match, _SERIES_INSTANCE_UID))
    ]


def _query(client: HttpClient, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        answer = client.request(
            "GET",
            path,
            headers={"Accept": DICOM_JSON},
            params={"limit": str(MAX_MATCHES + 1), **params},
            max_bytes=MAX_ANSWER_BYTES,
        )
        if answer.status == 204:
            return []
        if answer.status != 200:
            raise QueryFailed(client.refusal(answer))
        found = data_sets(answer.body)
    except NoAnswer as error:
        raise QueryFailed(str(error)) from error
    except NotDicomJson as error:
        raise QueryFailed(
            f"{client.base_url} does not answer as a DICOMweb service does: check the path of the base URL."
        ) from error
    if len(found) > MAX_MATCHES:
        raise QueryFailed(f"{client.base_url} finds more than {MAX_MATCHES} matches: ask for fewer.")
    return found
