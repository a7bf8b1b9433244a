"""Sending by STOW-RS (PS3.18, 10.5), with the results and the rules of C-STORE."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator

from pydicom.errors import InvalidDicomError

from boneage_node.dimse.file_meta import read_file_meta
from boneage_node.dimse.wire.status import Status, is_delivered, is_permanent, sentence
from boneage_node.net.http import DEFAULT_TIMEOUT_SECONDS, Answer, HttpClient, NoAnswer, send_each
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, unreadable

from .json_model import DICOM_JSON, NotDicomJson, data_sets, items, text

_PIECE_BYTES = 2**16
_TELLS_OF_INSTANCES = (200, 202, 409)
"""Statuses of which the body says what became of each instance: all stored, some, none (Table 10.5.3-1)."""

_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE = "00081199", "00081198"
_REFERENCED_SOP_INSTANCE_UID, _FAILURE_REASON = "00081155", "00081197"
_PROCESSING_FAILURE = 0x0110


def send(
    base_url: str, files: Iterable[StoredFile], *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Iterator[Sent]:
    """Send files in their order, each by a request of its own, over one connection while it holds.

    Args:
        base_url: The DICOMweb service, without ``/studies``.
        files: DICOM files; they are sent as they are, in pieces.
        timeout_seconds: How long to wait for the connection, and for each answer.

    Returns:
        For each file, as soon as it is known, what became of it.
    """
    return send_each(base_url, files, _send_one, timeout_seconds)


def _send_one(client: HttpClient, file: StoredFile) -> Sent:
    try:
        sop_instance_uid = str(read_file_meta(file).MediaStorageSOPInstanceUID)
        size = _size(file)
    except (OSError, InvalidDicomError, AttributeError) as error:
        return unreadable(file, error)
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(len(head) + size + len(tail)),
        "Accept": DICOM_JSON,
    }
    try:
        answer = client.request("POST", "/studies", headers=headers, content=_body(head, file, tail))
    except NoAnswer as error:
        return Sent(file, None, str(error))
    except OSError as error:  # of the file, while it was read
        return unreadable(file, error)
    return _judge(client, file, sop_instance_uid, answer)


def _size(file: StoredFile) -> int:
    with file.open() as opened:
        return opened.seek(0, os.SEEK_END)


def _body(head: bytes, file: StoredFile, tail: bytes) -> Iterator[bytes]:
    yield head
    with file.open() as opened:
        while piece := opened.read(_PIECE_BYTES):
            yield piece
    yield tail


def _judge(client: HttpClient, file: StoredFile, sop_instance_uid: str, answer: Answer) -> Sent:
    """What an answer says of the one instance that was sent.

    Only the word of a DICOMweb service counts: a login page, too, comes with status 200.
    """
    outcome = _outcome(sop_instance_uid, answer.body) if answer.status in _TELLS_OF_INSTANCES else None
    if outcome == Status.SUCCESS:
        return Sent(file, outcome)
    if outcome is not None:
        if is_delivered(outcome):  # that it is there already
            return Sent(file, outcome)
        return Sent(file, outcome, f"Not stored: {sentence(outcome)}.", is_permanent(outcome))
    if answer.status == 200 and (not answer.body or answer.media_type == "application/dicom+xml"):
        return Sent(file, Status.SUCCESS)  # "all stored" (Table 10.5.3-1), without details
    if 200 <= answer.status < 300:
        return Sent(
            file,
            None,
            f"The answer does not say that the report was stored (HTTP status {answer.status}): "
            "check that the base URL is that of a DICOMweb service.",
        )
    return Sent(file, None, f"Not stored: {client.refusal(answer)}", answer.is_permanent)


def _outcome(sop_instance_uid: str, body: bytes) -> int | None:
    """The status of the instance in a Store Instances Response Module, or None where it is not told.

    Success stands for stored with a warning, too: that is delivered.
    """
    try:
        for data_set in data_sets(body):
            for item in items(data_set, _FAILED_SOP_SEQUENCE):
                if text(item, _REFERENCED_SOP_INSTANCE_UID) == sop_instance_uid:
                    return int(text(item, _FAILURE_REASON) or _PROCESSING_FAILURE)
            for item in items(data_set, _REFERENCED_SOP_SEQUENCE):
                if text(item, _REFERENCED_SOP_INSTANCE_UID) == sop_instance_uid:
                    return Status.SUCCESS
    except NotDicomJson:
        return None
    return None
