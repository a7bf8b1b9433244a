"""Retrieving by WADO-RS (PS3.18, 10.4) into files."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from boneage_node.net.http import HttpClient, NoAnswer
from boneage_node.traffic.query import QueryFailed

MAX_RETRIEVED_BYTES = 2**31
"""Of one request: a radiograph is some ten megabytes, and a study of them a few."""

_ACCEPT = 'multipart/related; type="application/dicom"'
_ACCEPTED = (f"{_ACCEPT}; transfer-syntax=*", _ACCEPT)
"""``*``: as it is stored, not converted. The other is for services that do not know that."""
_NO_CONTENT, _PARTIAL_CONTENT, _NOT_ACCEPTABLE = 204, 206, 406


@dataclass(frozen=True)
class Retrieved:
    """What has come of a retrieval.

    Attributes:
        files: One for each instance that came whole, in the order in which they came.
        problem: Why others may not have come, in a sentence; empty where all have, as far as it is told.
    """

    files: list[Path]
    problem: str = ""


def retrieve(
    client: HttpClient, study_instance_uid: str, series_instance_uid: str | None, folder: Path
) -> Retrieved:
    """Write the instances of a series, or of a whole study, into a folder, piece by piece.

    Whatever goes wrong on the way, the instances that came whole are kept.

    Args:
        client: The DICOMweb service.
        study_instance_uid: The study.
        series_instance_uid: The series; None for the whole study.
        folder: Where to; files are numbered, after those that are there.

    Raises:
        Unreachable: There is no connection, or the service says that nothing like that is there.
    """
    path = f"/studies/{study_instance_uid}"
    if series_instance_uid is not None:
        path += f"/series/{series_instance_uid}"
    files = _Files(folder)
    problem = ""
    try:
        for accept in _ACCEPTED:
            with client.stream("GET", path, headers={"Accept": accept}) as response:
                if response.status_code == _NOT_ACCEPTABLE and accept != _ACCEPTED[-1]:
                    continue
                problem = _read(response, client, files)
                break
    except (NoAnswer, QueryFailed) as error:
        problem = f"The images were not all retrieved: {error}"
    except OSError as error:
        problem = f"The images cannot be written to {folder.parent}: {error.strerror}."
    files.drop_unfinished()
    return Retrieved(files.whole, problem)


def _read(response: httpx.Response, client: HttpClient, files: _Files) -> str:
    """Read an answer into files; gives the problem, where the answer itself tells one.

    Raises:
        QueryFailed: It is no answer to a retrieval, or too long.
    """
    status = response.status_code
    if status == _NO_CONTENT:
        return "The service has none of the images that it lists."
    if status not in (200, _PARTIAL_CONTENT):
        raise QueryFailed(client.refusal(status))
    reader = _reader(response.headers.get("Content-Type", ""), files)
    size_bytes = 0
    try:
        for piece in response.iter_bytes():
            size_bytes += len(piece)
            if size_bytes > MAX_RETRIEVED_BYTES:
                raise QueryFailed(f"more than {MAX_RETRIEVED_BYTES} bytes are not retrieved.")
            reader.write(piece)
    except FormParserError as error:
        raise QueryFailed("the answer is not multipart.") from error
    # without a last boundary nothing but the length says that the last part is whole
    if not reader.ended and not (files.has_begun and _has_length(response)):
        raise QueryFailed("the answer ends in the middle.")
    files.finish()
    return "The service has sent only a part of the images (HTTP 206)." if status == _PARTIAL_CONTENT else ""


def _has_length(response: httpx.Response) -> bool:
    """Whether the end of a body that breaks off would have been noticed."""
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


class _Files:
    """The files that an answer becomes, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.whole: list[Path] = []
        self._folder = folder
        self._number = len(list(folder.iterdir()))
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is a file that is not finished."""
        return self._file is not None

    def begin(self) -> None:
        self._number += 1
        self._path = self._folder / f"{self._number:06d}.dcm"
        self._file = self._path.open("wb")

    def write(self, data: bytes) -> None:
        assert self._file is not None, "it has begun"
        self._file.write(data)

    def finish(self) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            self.whole.append(self._path)

    def drop_unfinished(self) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)


class _Reader(Protocol):
    """Makes files of the body of an answer."""

    ended: bool

    def write(self, piece: bytes) -> None: ...


def _reader(content_type: str, files: _Files) -> _Reader:
    """The reader of a kind of body.

    Raises:
        QueryFailed: It is none of a retrieval.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() == "multipart/related" and boundary:
        return _Multipart(files, boundary)
    if message.get_content_type() == "application/dicom":
        return _Single(files)
    raise QueryFailed("the service does not answer a retrieval as WADO-RS does: check its base URL.")


class _Single:
    """A body that is one instance, as some services answer for a series of one."""

    ended = False

    def __init__(self, files: _Files) -> None:
        self._files = files
        files.begin()

    def write(self, piece: bytes) -> None:
        self._files.write(piece)


class _Multipart:
    """Parts of a multipart body that become files."""

    def __init__(self, files: _Files, boundary: str) -> None:
        self.ended = False
        self._files = files
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": files.begin,
                "on_part_data": self._data,
                "on_part_end": files.finish,
                "on_end": self._end,
            },
        )

    def write(self, piece: bytes) -> None:
        if not self.ended:
            self._parser.write(piece)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._files.write(data[start:end])

    def _end(self) -> None:
        self.ended = True
