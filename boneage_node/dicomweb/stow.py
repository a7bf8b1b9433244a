"""Sending by STOW-RS (PS3.18, 10.5), with the results and the rules of C-STORE."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial

from boneage_node.net.http import Answer, HttpClient, NoAnswer, send_each
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, unreadable
from boneage_node.traffic.pixel_data import uncompressed
from boneage_node.traffic.store_status import SUCCESS, is_delivered, is_permanent, sentence

from .json_model import DICOM_JSON, NotDicomJson, data_sets, items, text

_PIECE_BYTES = 2**16
_TELLS_OF_INSTANCES = (200, 202, 409)
"""Statuses of which the body says what became of each instance: all stored, some, none (Table 10.5.3-1)."""

_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE = "00081199", "00081198"
_REFERENCED_SOP_INSTANCE_UID, _FAILURE_REASON = "00081155", "00081197"
_PROCESSING_FAILURE = 0x0110


def send(client: HttpClient, files: Iterable[StoredFile]) -> Iterator[Sent]:
    """Send files in their order, each by a request of its own, over one connection while it holds.

    Args:
        client: The DICOMweb service, whose base URL goes without ``/studies``; not opened yet.
        files: DICOM files that the node has made; they are sent as they are, in pieces. What is compressed
            and refused for good is sent once more without compression.

    Returns:
        For each file its outcome, as soon as it is known.
    """
    return send_each(client, files, _send_one)


def _send_one(client: HttpClient, file: StoredFile) -> Sent:
    try:
        with file.open() as opened:
            try:
                meta = read_partial(opened, stop_when=lambda *_: True).file_meta
                sop_instance_uid = str(meta.MediaStorageSOPInstanceUID)
            except (InvalidDicomError, AttributeError) as error:
                return unreadable(file, error)
            sent = _post(client, file, opened, sop_instance_uid)
            if not (sent.permanent and meta.TransferSyntaxUID.is_compressed):
                return sent
            # Nothing is negotiated here: that the service takes no JPEG 2000 shows in its refusal.
            opened.seek(0)
            plain = BytesIO()
            uncompressed(opened).save_as(plain)
            return _post(client, file, plain, sop_instance_uid)
    except OSError as error:
        return unreadable(file, error)


def _post(client: HttpClient, file: StoredFile, opened: BinaryIO, sop_instance_uid: str) -> Sent:
    size = opened.seek(0, os.SEEK_END)
    opened.seek(0)
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(len(head) + size + len(tail)),
        "Accept": DICOM_JSON,
    }
    try:
        answer = client.request("POST", "/studies", headers=headers, content=_body(head, opened, tail))
    except NoAnswer as error:
        return Sent(file, None, str(error))
    return _judge(client, file, sop_instance_uid, answer)


def _body(head: bytes, opened: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while piece := opened.read(_PIECE_BYTES):
        yield piece
    yield tail


def _judge(client: HttpClient, file: StoredFile, sop_instance_uid: str, answer: Answer) -> Sent:
    """Read from an answer the outcome of the one instance that was sent.

    Only the word of a DICOMweb service counts: a login page, too, comes with status 200.
    """
    outcome = _outcome(sop_instance_uid, answer.body) if answer.status in _TELLS_OF_INSTANCES else None
    if outcome == SUCCESS:
        return Sent(file, outcome)
    if outcome is not None:
        if is_delivered(outcome):  # that it is there already
            return Sent(file, outcome)
        return Sent(file, outcome, f"Not stored: {sentence(outcome)}.", is_permanent(outcome))
    if answer.status == 200 and (not answer.body or answer.media_type == "application/dicom+xml"):
        return Sent(file, SUCCESS)  # "all stored" (Table 10.5.3-1), without details
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
                    return SUCCESS
    except NotDicomJson:
        return None
    return None
