"""Size of a compressed frame by its own header, read without decoding it.

Decoders allocate by the stream's own header, not by DICOM's: a small file may claim 65535 x 65535 pixels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from boneage_node.errors import BoneAgeError

_SOI = b"\xff\xd8"
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_JPEG_LS_FRAME = frozenset({0xF7})
_J2K_START = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "


class DamagedStreamError(BoneAgeError):
    """A stream that is cut short or is not what its transfer syntax says."""


@dataclass(frozen=True)
class StreamSize:
    """Size by the stream's header: rows, columns, components, and bits a sample."""

    rows: int
    columns: int
    components: int
    precision: int


def read_stream_size(frame: bytes, transfer_syntax_uid: str) -> StreamSize | None:
    """Size of a compressed frame by its own header, or None for RLE, which has none.

    Args:
        frame: One frame, its fragments joined.
        transfer_syntax_uid: Of the dataset.

    Raises:
        DamagedStreamError: There is no such header.
    """
    if transfer_syntax_uid == RLELossless:
        return None
    try:
        if transfer_syntax_uid in JPEGTransferSyntaxes:
            return _jpeg_size(frame, _JPEG_FRAMES)
        if transfer_syntax_uid in JPEGLSTransferSyntaxes:
            return _jpeg_size(frame, _JPEG_LS_FRAME)
        if transfer_syntax_uid in JPEG2000TransferSyntaxes:
            return _j2k_size(frame)
    except (struct.error, IndexError):
        raise DamagedStreamError("the compressed image's header is cut short") from None
    raise DamagedStreamError("no compressed image of this transfer syntax")


def _jpeg_size(frame: bytes, frame_markers: frozenset[int]) -> StreamSize:
    """Walk the marker segments to the frame header (ISO/IEC 10918-1 B.2.2, 14495-1 C.2.2)."""
    if not frame.startswith(_SOI):
        raise DamagedStreamError("the compressed image does not begin as one")
    position = 2
    while True:
        if frame[position] != 0xFF:
            raise DamagedStreamError("the compressed image's markers are damaged")
        marker = frame[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in frame_markers:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return StreamSize(rows, columns, components, precision)
        if marker in (0xDA, 0xD9) or marker in _JPEG_FRAMES | _JPEG_LS_FRAME:
            raise DamagedStreamError("the compressed image is not of its transfer syntax")
        (length,) = struct.unpack_from(">H", frame, position + 2)
        position += 2 + length


def _j2k_size(frame: bytes) -> StreamSize:
    """The SIZ segment (ISO/IEC 15444-1 A.5.1) of a code stream, bare or in a JP2 file."""
    start = 0
    if frame.startswith(_JP2_SIGNATURE):
        start = frame.find(_J2K_START)
    if start < 0 or frame[start : start + 4] != _J2K_START:
        raise DamagedStreamError("the compressed image does not begin as one")
    width, height, left, top = struct.unpack_from(">4L", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    precision = (frame[start + 42] & 0x7F) + 1
    return StreamSize(height - top, width - left, components, precision)


def check_rle(frame: bytes, pixels_per_plane: int, planes: int) -> None:
    """Check that no RLE segment (PS3.5 G) unpacks to less than a plane or to much more.

    Args:
        frame: One frame.
        pixels_per_plane: Bytes that each segment must unpack to.
        planes: Segments expected: samples a pixel times bytes a sample.

    Raises:
        DamagedStreamError: It does.
    """
    if len(frame) < 64:
        raise DamagedStreamError("the RLE header is cut short")
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != planes:
        raise DamagedStreamError("the number of RLE segments does not fit the header")
    bounds = [*offsets[:count], len(frame)]
    if bounds != sorted(bounds) or bounds[0] < 64:
        raise DamagedStreamError("the RLE segments are not in order")
    for start, end in pairwise(bounds):
        unpacked = _rle_length(frame, start, end, limit=pixels_per_plane + 256)
        if not pixels_per_plane <= unpacked <= pixels_per_plane + 256:
            raise DamagedStreamError("an RLE segment does not fit the header")


def _rle_length(frame: bytes, start: int, end: int, limit: int) -> int:
    """Bytes that a segment unpacks to; stops counting past the limit."""
    unpacked, position = 0, start
    while position < end and unpacked <= limit:
        control = frame[position]
        if control < 128:
            unpacked += min(control + 1, end - position - 1)
            position += control + 2
        elif control > 128:
            unpacked += 257 - control if position + 1 < end else 0
            position += 2
        else:
            position += 1
    return unpacked
