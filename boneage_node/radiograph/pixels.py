"""Stored pixel values of one image, decoded only after its sizes have been checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from boneage_node.bone_age import ReasonCode, Refusal

from . import gdcm_process
from .codestream import DamagedStreamError, StreamSize, check_rle, read_stream_size
from .dataset import Attributes, transfer_syntax_uid

MAX_PIXELS = 100_000_000
"""Rows times columns beyond which an image is not decoded: three times the largest detector there is."""

Decoded = npt.NDArray[np.integer[Any]]
Codes = npt.NDArray[np.uint16]

# Lossy compression of equal channels leaves them this far apart by rounding.
GREY_SPREAD = 4

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
# Of the decoders that pydicom knows, those that raise on damage rather than fill up in silence.
_PLUGINS: dict[str, str] = {
    JPEGBaseline8Bit: "pillow",
    RLELossless: "pydicom",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}

# The only decoder there is, and it dies of damage, so it gets a process.
_BY_GDCM = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)


@dataclass(frozen=True)
class PixelFormat:
    """The image pixel attributes (PS3.3 C.7.6.3), checked against each other.

    Attributes:
        transfer_syntax_uid: How Pixel Data is encoded.
        rows: Height in pixels.
        columns: Width in pixels.
        samples: 1, or 3 for colour.
        photometric: Photometric Interpretation.
        bits_allocated: 8 or 16.
        bits_stored: 1 to bits_allocated.
        high_bit: Position of the highest stored bit.
        signed: Two's complement.
        planar: Planar Configuration of colour.
        vr: Value representation of Pixel Data, which decides the byte order of 8-bit big endian words.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: int
    vr: str

    @property
    def frame_bytes(self) -> int:
        """Bytes of the image uncompressed."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated // 8


@dataclass(frozen=True)
class StoredPixels:
    """Decoded pixels.

    Attributes:
        codes: Shape (rows, columns), uint16: the stored bits alone, two's complement if signed.
        bits: How many bits a code has: codes lie in [0, 2**bits).
        signed: Whether codes are two's complement.
        photometric: MONOCHROME1 or MONOCHROME2.
    """

    codes: Codes
    bits: int
    signed: bool
    photometric: str


def decode_pixels(dataset: Dataset) -> StoredPixels:
    """Decode the one frame of a grey image, or of a colour image whose channels are equal.

    Raises:
        Refusal: NO_PIXELS, UNSUPPORTED_PIXELS, TOO_LARGE or DAMAGED_PIXELS, in this order.
    """
    pixel_format = read_pixel_format(dataset)
    content: bytes = dataset["PixelData"].value
    if pixel_format.transfer_syntax_uid in _NATIVE:
        _check_length(content, pixel_format)
        array, bits = _decode(content, pixel_format), pixel_format.bits_stored
        shift = pixel_format.high_bit + 1 - bits
    else:
        size = _check_stream(content, pixel_format)
        array = _decode(content, pixel_format)
        # A stream may hold more bits than Bits Stored says; fewer are no harm.
        bits, shift = max(pixel_format.bits_stored, size.precision if size else 0), 0
    if pixel_format.samples == 3:
        return StoredPixels(_one_channel(array), 8, False, "MONOCHROME2")
    if array.shape != (pixel_format.rows, pixel_format.columns):
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "the decoded size does not fit the header")
    return StoredPixels(_stored_bits(array, bits, shift), bits, pixel_format.signed, pixel_format.photometric)


def read_pixel_format(dataset: Dataset) -> PixelFormat:
    """Read and check what the header says of the pixels; nothing is decoded.

    Raises:
        Refusal: NO_PIXELS, UNSUPPORTED_PIXELS, TOO_LARGE or DAMAGED_PIXELS.
    """
    attributes = Attributes(dataset)
    _check_pixel_data(dataset, attributes)
    syntax = transfer_syntax_uid(dataset)
    if syntax not in (*_NATIVE, *_PLUGINS, *_BY_GDCM):
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "transfer syntax")
    pixel_format = PixelFormat(
        transfer_syntax_uid=syntax,
        rows=_required(attributes, "Rows"),
        columns=_required(attributes, "Columns"),
        samples=_required(attributes, "SamplesPerPixel"),
        photometric=attributes.text("PhotometricInterpretation").upper(),
        bits_allocated=_required(attributes, "BitsAllocated"),
        bits_stored=_required(attributes, "BitsStored"),
        high_bit=_required(attributes, "HighBit"),
        signed=_required(attributes, "PixelRepresentation") == 1,
        planar=attributes.integer("PlanarConfiguration") or 0,
        vr=dataset["PixelData"].VR,
    )
    _check_kind(pixel_format, attributes)
    _check_numbers(pixel_format, attributes)
    return pixel_format


def _check_pixel_data(dataset: Dataset, attributes: Attributes) -> None:
    if attributes.has("FloatPixelData") or attributes.has("DoubleFloatPixelData"):
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "floating point")
    value = attributes.value("PixelData")
    if value is None:
        raise Refusal(ReasonCode.NO_PIXELS)
    if not isinstance(value, bytes):
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "PixelData is not of bytes")


def _required(attributes: Attributes, keyword: str) -> int:
    value = attributes.integer(keyword)
    if value is None or value < 0:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, f"{keyword} is missing or malformed")
    return value


def _check_kind(pixel_format: PixelFormat, attributes: Attributes) -> None:
    """Refuse kinds of image that are valid DICOM but not read here."""
    frames = attributes.integer("NumberOfFrames") if attributes.texts("NumberOfFrames") else 1
    if frames != 1:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "several frames")
    grey = pixel_format.photometric in ("MONOCHROME1", "MONOCHROME2") and pixel_format.samples == 1
    colour = pixel_format.samples == 3 and pixel_format.photometric in (
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_ICT",
        "YBR_RCT",
    )
    if not grey and not colour:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "photometric interpretation")
    if pixel_format.bits_allocated not in ((8, 16) if grey else (8,)):
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "bits allocated")


def _check_numbers(pixel_format: PixelFormat, attributes: Attributes) -> None:
    """Refuse what is too large, or contradicts itself."""
    if pixel_format.rows * pixel_format.columns > MAX_PIXELS:
        raise Refusal(ReasonCode.TOO_LARGE, f"more than {MAX_PIXELS // 10**6} megapixels")
    if not (1 <= pixel_format.rows <= 65535 and 1 <= pixel_format.columns <= 65535):
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "Rows or Columns is no valid size")
    if not 1 <= pixel_format.bits_stored <= pixel_format.bits_allocated:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "BitsStored does not fit BitsAllocated")
    if not pixel_format.bits_stored - 1 <= pixel_format.high_bit < pixel_format.bits_allocated:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "HighBit does not fit BitsStored")
    if attributes.integer("PixelRepresentation") not in (0, 1) or pixel_format.planar not in (0, 1):
        raise Refusal(
            ReasonCode.DAMAGED_PIXELS, "PixelRepresentation or PlanarConfiguration is no valid value"
        )


def _check_length(content: bytes, pixel_format: PixelFormat) -> None:
    """Uncompressed Pixel Data is exactly as long as the header says, padded to even length (PS3.5 8.1.1)."""
    expected = pixel_format.frame_bytes
    if len(content) not in (expected, expected + expected % 2):
        difference = "shorter" if len(content) < expected else "longer"
        raise Refusal(ReasonCode.DAMAGED_PIXELS, f"PixelData is {difference} than the header says")


def _check_stream(content: bytes, pixel_format: PixelFormat) -> StreamSize | None:
    """Compare the compressed stream's own header with DICOM's before any decoder allocates by it."""
    try:
        frame = get_frame(content, 0, number_of_frames=1)
        size = read_stream_size(frame, pixel_format.transfer_syntax_uid)
        if size is None:
            sample_bytes = pixel_format.bits_allocated // 8
            planes = pixel_format.samples * sample_bytes
            check_rle(frame, pixel_format.rows * pixel_format.columns, planes)
    except DamagedStreamError as error:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, str(error)) from None
    except MemoryError:
        raise
    except Exception as error:  # pydicom's parser of damaged fragments raises several kinds
        raise Refusal(
            ReasonCode.DAMAGED_PIXELS, f"the fragments are damaged: {type(error).__name__}"
        ) from None
    if size is None:
        return None
    if (size.rows, size.columns, size.components) != (
        pixel_format.rows,
        pixel_format.columns,
        pixel_format.samples,
    ):
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "the compressed image's size is not that of the header")
    if not 1 <= size.precision <= pixel_format.bits_allocated:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "the compressed image has more bits than BitsAllocated")
    return size


def _decode(content: bytes, pixel_format: PixelFormat) -> Decoded:
    """Decode into shape (rows, columns) or (rows, columns, 3); integers of any kind and byte order."""
    syntax = UID(pixel_format.transfer_syntax_uid)
    try:
        if syntax in _BY_GDCM:
            return _decode_by_gdcm(content, pixel_format)
        array, _ = get_decoder(syntax).as_array(content, index=0, **_decoding_options(pixel_format))
    except MemoryError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged streams
        if isinstance(error, OSError) and error.errno is not None:  # the kernel's word: no decoder was run
            raise
        raise Refusal(ReasonCode.DAMAGED_PIXELS, f"the decoder gave up: {type(error).__name__}") from None
    return array


def _decoding_options(pixel_format: PixelFormat) -> dict[str, Any]:
    """The checked header for pydicom, which would otherwise read the dataset's own again."""
    return {
        "decoding_plugin": _PLUGINS.get(pixel_format.transfer_syntax_uid, ""),
        "rows": pixel_format.rows,
        "columns": pixel_format.columns,
        "number_of_frames": 1,
        "samples_per_pixel": pixel_format.samples,
        "photometric_interpretation": pixel_format.photometric,
        "bits_allocated": pixel_format.bits_allocated,
        "bits_stored": pixel_format.bits_stored,
        "pixel_representation": int(pixel_format.signed),
        "planar_configuration": pixel_format.planar,
        "pixel_keyword": "PixelData",
        "pixel_vr": pixel_format.vr,
        "correct_unused_bits": False,  # it takes no heed of High Bit
        "apply_j2k_sign_correction": True,
        "apply_jls_sign_correction": True,
    }


def _decode_by_gdcm(content: bytes, pixel_format: PixelFormat) -> Decoded:
    described = {
        field.name: getattr(pixel_format, field.name) for field in fields(gdcm_process.FrameDescription)
    }
    frame = get_frame(content, 0, number_of_frames=1)
    decoded = gdcm_process.decode(frame, gdcm_process.FrameDescription(**described))
    shape: tuple[int, ...] = (pixel_format.rows, pixel_format.columns)
    if pixel_format.samples > 1:
        shape = (*shape, pixel_format.samples)
    return np.frombuffer(decoded, f"<u{pixel_format.bits_allocated // 8}").reshape(shape)


def _stored_bits(array: Decoded, bits: int, shift: int) -> Codes:
    """The stored bits alone: what lies above and below them may be overlays or junk (PS3.5 8.1.1)."""
    codes = array.astype(np.uint16, copy=False)
    if shift:
        codes = codes >> np.uint16(shift)
    return codes if bits == 16 else codes & np.uint16(2**bits - 1)


def _one_channel(array: Decoded) -> Codes:
    """The green channel of a colour image that is grey in truth."""
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise Refusal(ReasonCode.DAMAGED_PIXELS, "the decoded size does not fit the header")
    low, high = array.min(axis=2), array.max(axis=2)
    if int((high - low).max()) > GREY_SPREAD:
        raise Refusal(ReasonCode.UNSUPPORTED_PIXELS, "colour")
    return array[:, :, 1].astype(np.uint16)
