"""Safe reading of DICOM files and of single attributes, whatever a peer wrote into them."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset as read_elements
from pydicom.filereader import read_preamble
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.traffic.file import StoredFile

MAX_FILE_BYTES = 512 * 2**20
"""Larger files are refused unread: twice what the largest image that is decoded needs."""

_FIRST_PIXELS = Tag("FloatPixelData")

# pydicom's log lines and warnings quote the values that they complain of, and those are patients'.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings, which quote the values they are about, from reaching a terminal or a log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_dataset(file: StoredFile, *, pixels: bool = True) -> Dataset:
    """Read a DICOM file: ``read_open_dataset`` of it."""
    with file.open() as opened:
        return read_open_dataset(opened, pixels=pixels)


def read_open_dataset(opened: BinaryIO, *, pixels: bool = True) -> Dataset:
    """Read a DICOM file (PS3.10) of any transfer syntax but the deflated one, from its start.

    Args:
        opened: The file, which stays open.
        pixels: False leaves Pixel Data and what follows it unread.

    Raises:
        Refusal: UNREADABLE_FILE, TOO_LARGE, or UNSUPPORTED_PIXELS for a deflated file.
        OSError: The file cannot be read: the machine's fault, not the image's.
    """
    if opened.seek(0, io.SEEK_END) > MAX_FILE_BYTES:
        raise Refusal(ReasonCode.TOO_LARGE, f"the file is larger than {MAX_FILE_BYTES // 2**20} MiB")
    opened.seek(0)
    watched = _Watched(opened)
    content = io.BytesIO(watched.read()) if pixels else cast(BinaryIO, watched)
    with quiet_pydicom():
        try:
            _refuse_deflated(content)
            return dcmread(content, stop_before_pixels=not pixels)
        except (Refusal, MemoryError):
            raise
        except Exception as error:  # a malformed file raises almost anything in a parser
            if watched.error is not None:
                raise watched.error from None
            raise Refusal(ReasonCode.UNREADABLE_FILE, type(error).__name__) from None


def without_pixels(dataset: Dataset) -> Dataset:
    """A copy of what comes before the pixels; private attributes are left out.

    Its values are the bytes of the file however many of the original's are read later: pydicom decodes a
    value in its place when asked for it.
    """
    tags = [tag for tag in dataset.keys() if tag < _FIRST_PIXELS and not tag.is_private]  # noqa: SIM118
    return undecoded_copy(dataset, tags)


def undecoded_copy(dataset: Dataset, keys: Iterable[str | BaseTag]) -> Dataset:
    """A copy of some elements as they are in the file, for reading without decoding those of the original."""
    copy = Dataset()
    for key in keys:
        element = dataset.get_item(key)
        if element is not None:
            copy[element.tag] = element
    implicit_vr, little_endian = dataset.original_encoding
    copy.set_original_encoding(implicit_vr, little_endian, dataset.original_character_set)
    return copy


def _refuse_deflated(content: BinaryIO) -> None:
    """Inflating has no bound on its output, so it is refused before pydicom begins."""
    read_preamble(content, force=False)
    file_meta = read_elements(content, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    content.seek(0)
    if file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "deflated transfer syntax")


class _Watched(io.RawIOBase):
    """An open file that remembers its own OSError: parsers raise OSError for malformed content, too."""

    def __init__(self, opened: BinaryIO) -> None:
        self._opened = opened
        self.error: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        """Read as from the file itself."""
        try:
            return self._opened.read(size)
        except OSError as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move as in the file itself."""
        return self._opened.seek(offset, whence)

    def tell(self) -> int:
        """Tell the position as the file itself does."""
        return self._opened.tell()


def transfer_syntax_uid(dataset: Dataset) -> str:
    """Transfer syntax by the file meta information; empty where there is none."""
    file_meta = getattr(dataset, "file_meta", None)
    if not isinstance(file_meta, Dataset):
        return ""
    return Attributes(file_meta, word_type="<u2").text("TransferSyntaxUID")


class Attributes:
    """Attributes of a dataset as plain Python values; a malformed one counts as absent.

    Args:
        dataset: Any dataset; it is not changed.
        word_type: numpy's type of a 16-bit word in OW values, by the byte order of the file; an item takes it
            from the dataset it is in.
    """

    def __init__(self, dataset: Dataset, word_type: str = "") -> None:
        self._dataset = dataset
        is_big_endian = not word_type and transfer_syntax_uid(dataset) == ExplicitVRBigEndian
        self.word_type = word_type or (">u2" if is_big_endian else "<u2")

    def has(self, keyword: str) -> bool:
        """Whether the attribute is there, even if empty or malformed."""
        return keyword in self._dataset

    def value(self, keyword: str) -> Any:
        """The value as pydicom converts it, or None where absent, empty or beyond conversion."""
        try:
            value = self._dataset.get(keyword)
        except MemoryError:
            raise
        except Exception:  # pydicom's converters raise almost anything on malformed values
            return None
        return None if value is None or value == "" or value == b"" else value

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as text, stripped of padding."""
        value = self.value(keyword)
        if value is None:
            return ()
        values = value if isinstance(value, MultiValue | list | tuple) else (value,)
        return tuple(str(each).strip(" \0") for each in values)

    def text(self, keyword: str) -> str:
        """The single value as text, stripped of padding; empty where absent or where there are several."""
        texts = self.texts(keyword)
        return texts[0] if len(texts) == 1 else ""

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as finite floats; empty where any of them is not one."""
        try:
            numbers = tuple(float(text) for text in self.texts(keyword))
        except ValueError:
            return ()
        return numbers if all(map(math.isfinite, numbers)) else ()

    def number(self, keyword: str) -> float | None:
        """The first value as a finite float."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """The single value as an integer."""
        numbers = self.numbers(keyword)
        if len(numbers) != 1 or not numbers[0].is_integer():
            return None
        return int(numbers[0])

    def items(self, keyword: str) -> Sequence[Attributes]:
        """The items of a sequence."""
        value = self.value(keyword)
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return ()
        return [Attributes(item, self.word_type) for item in value if isinstance(item, Dataset)]
