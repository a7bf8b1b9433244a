"""Retrieving by WADO-RS (PS3.18, 10.4) into files."""

from __future__ import annotations

from email.message import Message
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from boneage_node.net.http import Answer, HttpClient, NoAnswer
from boneage_node.traffic.query import QueryFailed

MAX_SERIES_BYTES = 2**31
"""A radiograph is some ten megabytes, and a series of them a few."""
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""``*``: as it is stored, not converted."""


def retrieve_series(
    client: HttpClient, study_instance_uid: str, series_instance_uid: str, folder: Path
) -> list[Path]:
    """Write the instances of a series into a folder, piece by piece.

    Args:
        client: The DICOMweb service.
        study_instance_uid: The study.
        series_instance_uid: The series.
        folder: Where to; files are numbered, after those that are there.

    Returns:
        The files, in the order in which they came.

    Raises:
        Unreachable: There is no connection.
        QueryFailed: The service does not send them, breaks off, or sends what is no such answer.
    """
    path = f"/studies/{study_instance_uid}/series/{series_instance_uid}"
    try:
        with client.stream("GET", path, headers={"Accept": _ACCEPT}) as response:
            if response.status_code != 200:
                raise QueryFailed(client.refusal(Answer(response.status_code, "", b"")))
            parts = _Parts(folder, _boundary(response.headers.get("Content-Type", "")))
            try:
                for piece in response.iter_bytes():
                    parts.write(piece)
            finally:
                parts.close()
    except NoAnswer as error:
        raise QueryFailed(f"The images were not all retrieved: {error}") from error
    except FormParserError as error:
        raise QueryFailed("The images were not all retrieved: the answer is not multipart.") from error
    except OSError as error:
        raise QueryFailed(f"The images cannot be written to {folder.parent}: {error.strerror}.") from error
    if not parts.whole:
        raise QueryFailed("The images were not all retrieved: the answer ends in the middle.")
    return parts.files


def _boundary(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary:
        raise QueryFailed("The service does not answer a retrieval as WADO-RS does: check its base URL.")
    return boundary


class _Parts:
    """Parts of a multipart body that become files."""

    def __init__(self, folder: Path, boundary: str) -> None:
        self.files: list[Path] = []
        self.whole = False
        self._folder = folder
        self._first = len(list(folder.iterdir())) + 1
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self.close,
                "on_end": self._end,
            },
        )

    def write(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > MAX_SERIES_BYTES:
            raise QueryFailed(f"A series of more than {MAX_SERIES_BYTES} bytes is not retrieved.")
        if not self.whole:
            self._parser.write(piece)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        path = self._folder / f"{self._first + len(self.files):06d}.dcm"
        self._file = path.open("wb")
        self.files.append(path)

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None, "a part has begun"
        self._file.write(data[start:end])

    def _end(self) -> None:
        self.whole = True
