"""Sending by STOW-RS (PS3.18, 10.5), with the results and the rules of C-STORE."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial

from boneage_node.net.http import Answer, HttpClient, NoAnswer, send_each
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable, unreadable
from boneage_node.traffic.pixel_data import uncompressed
from boneage_node.traffic.store_status import (
    SUCCESS,
    is_delivered,
    is_permanent,
    is_warning,
    sentence,
    warning_sentence,
)

from .json_model import DICOM_JSON, NotDicomJson, data_sets, items, text

_PIECE_BYTES = 2**16
_TELLS_OF_INSTANCES = (200, 202, 409)
"""Statuses of which the body says what became of each instance: all stored, some, none (Table 10.5.3-1)."""

_UNSUPPORTED_MEDIA_TYPE = 415
_TAKES_NO_OBJECTS = (403, _UNSUPPORTED_MEDIA_TYPE, 501)

_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE = "00081199", "00081198"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_FAILURE_REASON, _WARNING_REASON = "00081197", "00081196"
_PROCESSING_FAILURE = 0x0110
DICOM_XML = "application/dicom+xml"
_UIDS_IN_XML = re.compile(rb'tag="00081155"[^>]*>\s*<Value[^>]*>\s*([0-9.]+)')


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


def probe(client: HttpClient) -> None:
    """Ask a DICOMweb service whether it lets this node store, by a request without any object in it.

    Raises:
        Unreachable: It is not there, or does not.
    """
    boundary = uuid.uuid4().hex
    headers = {"Content-Type": _content_type(boundary), "Accept": DICOM_JSON}
    try:
        with client:
            answer = client.request(
                "POST", "/studies", headers=headers, content=f"--{boundary}--\r\n".encode()
            )
    except NoAnswer as error:
        raise Unreachable(str(error)) from error
    if answer.status in _TAKES_NO_OBJECTS:  # others are about what was sent: nothing
        raise Unreachable(f"It answers QIDO-RS, but takes no STOW-RS: {client.refusal(answer.status)}")


def _content_type(boundary: str) -> str:
    return f'multipart/related; type="application/dicom"; boundary={boundary}'


def _send_one(client: HttpClient, file: StoredFile) -> Sent:
    try:
        with file.open() as opened:
            try:
                meta = read_partial(opened, stop_when=lambda *_: True).file_meta
                sop_instance_uid = str(meta.MediaStorageSOPInstanceUID)
            except (InvalidDicomError, AttributeError) as error:
                return unreadable(file, error)
            sent = _post(client, file, opened, sop_instance_uid)
            refused = sent.permanent and sent.status != SUCCESS
            if not (refused and meta.TransferSyntaxUID.is_compressed):
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
        "Content-Type": _content_type(boundary),
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
    told = _told(sop_instance_uid, answer) if answer.status in _TELLS_OF_INSTANCES else None
    if told is not None and told.status is not None:
        return _sent(file, told)
    if not 200 <= answer.status < 300:
        by_proxy = answer.media_type == "text/html" and answer.status != _UNSUPPORTED_MEDIA_TYPE
        permanent = answer.is_permanent and not by_proxy  # a proxy's refusal says nothing of the instance
        return Sent(file, None, f"Not stored: {client.refusal(answer.status)}", permanent)
    if told is not None and told.tells_of_others:
        problem = (
            f"The server says that it stored another object than was sent (HTTP status {answer.status}): "
            "something there changes SOP Instance UIDs. Have it leave them as they are, then retry."
        )
        return Sent(file, SUCCESS, problem, permanent=True)
    if answer.status == 200 and (told is not None or not answer.body):  # "all stored" (Table 10.5.3-1)
        return Sent(file, SUCCESS, warning="The server says that all was stored, and does not name it.")
    return Sent(
        file,
        None,
        f"The answer does not say that the report was stored (HTTP status {answer.status}): "
        "check that the base URL is that of a DICOMweb service.",
    )


@dataclass(frozen=True)
class _Told:
    """What a service tells of an instance.

    Attributes:
        status: Its status; None where nothing is told of it.
        reason: The reason for a warning, where there is one.
        tells_of_others: Whether other instances are named.
    """

    status: int | None = None
    reason: int | None = None
    tells_of_others: bool = False


def _sent(file: StoredFile, told: _Told) -> Sent:
    status = told.status or told.reason or SUCCESS
    if is_warning(status) or told.reason:
        return Sent(file, status, warning=warning_sentence(status))
    if is_delivered(status):  # or it is there already
        return Sent(file, status)
    return Sent(file, status, f"Not stored: {sentence(status)}.", is_permanent(status))


def _told(sop_instance_uid: str, answer: Answer) -> _Told | None:
    """Read the Store Instances Response Module in an answer; None where the answer is no DICOM.

    In XML, which was not asked for, only identifiers and the sequence of failures are looked for.
    """
    if answer.media_type == DICOM_XML:
        if _FAILED_SOP_SEQUENCE.encode() in answer.body:
            return _Told(_PROCESSING_FAILURE)
        uids = set(_UIDS_IN_XML.findall(answer.body))
        found = sop_instance_uid.encode() in uids
        return _Told(SUCCESS if found else None, tells_of_others=bool(uids) and not found)
    try:
        modules = data_sets(answer.body)
    except NotDicomJson:
        return None
    others = False
    for tag in (_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE):
        for item in (item for module in modules for item in items(module, tag)):
            uid = text(item, _REFERENCED_SOP_INSTANCE_UID)
            if uid != sop_instance_uid:
                others |= bool(uid)
            elif tag == _FAILED_SOP_SEQUENCE:
                return _Told(_code(item, _FAILURE_REASON) or _PROCESSING_FAILURE)
            else:
                return _Told(SUCCESS, _code(item, _WARNING_REASON))
    is_dicom = answer.media_type == DICOM_JSON or others
    return _Told(tells_of_others=others) if is_dicom else None


def _code(item: dict[str, Any], tag: str) -> int | None:
    """A reason; None where it is absent, or no number."""
    try:
        return int(text(item, tag))
    except ValueError:
        return None
