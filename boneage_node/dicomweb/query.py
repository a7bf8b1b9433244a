"""Asking a DICOMweb service what it has, by QIDO-RS (PS3.18, 10.6)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from pydicom.datadict import tag_for_keyword

from boneage_node.net.http import Answer, HttpClient, NoAnswer
from boneage_node.traffic.outcome import Unreachable
from boneage_node.traffic.query import (
    MAX_MATCHES,
    SERIES_KEYS,
    STUDY_KEYS,
    Level,
    QueryFailed,
    Row,
    Rows,
    ask_again,
)

from .json_model import DICOM_JSON, NotDicomJson, data_sets, text

MAX_ANSWER_BYTES = 8 * 2**20
_NOBODYS_STUDY = "2.25.0"
"""A Study Instance UID that no study has: asking for it costs little, and no patient's data comes back."""
_PARTIAL_CONTENT = 206
_ESCAPED = re.compile(r"[^A-Za-z0-9._~*-]+")


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
            _page(client, "/studies", {"StudyInstanceUID": _NOBODYS_STUDY, "limit": "1"})
    except QueryFailed as error:
        raise Unreachable(str(error)) from error
    return time.monotonic() - started


def find(client: HttpClient, level: Level, keys: Mapping[str, str]) -> Rows:
    """What a service says that it has. What it tells in pages is asked for page by page.

    Where a key has letters that are escaped in a URL and nothing is found, it is asked for once more with
    ``*`` for them: Orthanc's plugin 1.7, for one, takes the escapes for what they look like.

    Args:
        client: The service.
        level: Of studies, or of the series of the study that is among the keys.
        keys: The matching keys by keyword.

    Raises:
        Unreachable: There is no connection.
        QueryFailed: The service refuses the question, or finds more than `MAX_MATCHES`.
    """
    if level == "SERIES":
        return _pages(client, f"/studies/{keys['StudyInstanceUID']}/series", {}, SERIES_KEYS)
    return ask_again(keys, _ESCAPED, lambda asked: _pages(client, "/studies", asked, STUDY_KEYS))


def _pages(client: HttpClient, path: str, keys: Mapping[str, str], keywords: tuple[str, ...]) -> Rows:
    params = {"limit": str(MAX_MATCHES + 1)} | dict(keys)
    found, more = _page(client, path, params)
    page = found
    while more and page and len(found) <= MAX_MATCHES:
        try:
            page, more = _page(client, path, params | {"offset": str(len(found))})
        except (QueryFailed, Unreachable):
            break
        page = [data_set for data_set in page if data_set not in found]  # of services that know no offset
        found += page
    if len(found) > MAX_MATCHES:
        raise QueryFailed(f"{client.base_url} finds more than {MAX_MATCHES} matches: ask for fewer.")
    missing = f"{client.base_url} tells only a part of what it has found." if more else ""
    return Rows([_row(data_set, keywords) for data_set in found], missing)


def _row(data_set: dict[str, Any], keywords: tuple[str, ...]) -> Row:
    return {keyword: text(data_set, f"{tag_for_keyword(keyword):08X}") for keyword in keywords}


def _page(client: HttpClient, path: str, params: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The data sets of one answer, and whether the service has more."""
    try:
        answer = client.request(
            "GET",
            f"{path}?{urlencode(params, safe='*', quote_via=quote)}",
            headers={"Accept": DICOM_JSON},
            max_bytes=MAX_ANSWER_BYTES,
        )
        if answer.status == 204:
            return [], False
        if answer.status not in (200, _PARTIAL_CONTENT):
            raise QueryFailed(client.refusal(answer.status))
        return data_sets(answer.body), _has_more(answer)
    except NoAnswer as error:
        raise QueryFailed(str(error)) from error
    except NotDicomJson as error:
        raise QueryFailed(
            f"{client.base_url} does not answer as a DICOMweb service does: check the path of the base URL."
        ) from error


def _has_more(answer: Answer) -> bool:
    """Whether an answer is one page of several: the status of older services, the warning of others."""
    return answer.status == _PARTIAL_CONTENT or "additional results" in answer.warning.lower()
