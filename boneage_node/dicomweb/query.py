"""Asking a DICOMweb service what it has, by QIDO-RS (PS3.18, 10.6)."""

from __future__ import annotations

import json
import time

from boneage_node.http_client import DEFAULT_TIMEOUT_SECONDS, HttpClient, NoAnswer
from boneage_node.sending import Unreachable

from .stow import DICOM_JSON

_NOBODYS_STUDY = "2.25.0"
"""A Study Instance UID that no study has: asking for it costs little, and no patient's data comes back."""


def probe(base_url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> float:
    """Ask a DICOMweb service whether it is there.

    Returns:
        The seconds that connection and query took.

    Raises:
        Unreachable: It is not, or does not answer as QIDO-RS does.
    """
    started = time.monotonic()
    try:
        with HttpClient(base_url, timeout_seconds) as client:
            params = {"StudyInstanceUID": _NOBODYS_STUDY, "limit": "1"}
            answer = client.request("GET", "/studies", headers={"Accept": DICOM_JSON}, params=params)
            if answer.status not in (200, 204):
                raise Unreachable(client.refusal(answer))
    except NoAnswer as error:
        raise Unreachable(str(error)) from error
    if answer.status == 200 and not _is_list(answer.body):
        raise Unreachable(
            f"{base_url} does not answer as a DICOMweb service does: check the path of the base URL."
        )
    return time.monotonic() - started


def _is_list(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), list)
    except (ValueError, RecursionError):
        return False
