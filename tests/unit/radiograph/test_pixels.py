"""Pixels of every kind and transfer syntax; the decoded ones are compared with what was encoded."""

import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.radiograph import read_radiograph
from boneage_node.radiograph.pixels import MAX_PIXELS, decode_pixels
from boneage_node.traffic.file import LocalFile

LOSSLESS = [RLELossless, JPEGLSLossless, JPEG2000Lossless]


def refusal_of(source) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_radiograph(LocalFile(source) if isinstance(source, Path) else source)
    return caught.value


def compress(dataset, syntax):
    options = {"jls_error": 2} if syntax == JPEGLSNearLossless else {}
    dataset.compress(syntax, generate_instance_uid=False, **options)
    return dataset


@pytest.fixture
def textured():
    """Something like a radiograph, 12 bits, shape (90, 71): an odd number of columns."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:90, :71]
    return (
        (2000 + 1500 * np.sin(x / 9) * np.cos(y / 13) + rng.normal(0, 20, x.shape))
        .clip(0, 4095)
        .astype("<u2")
    )


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, *LOSSLESS])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
def test_every_bit_survives(make_image, save, textured, syntax, dtype):
    eight = dtype.endswith("1")
    pixels = textured >> 4 if eight else textured
    pixels = (pixels.astype("i4") - (128 if eight else 2048) * dtype.startswith("i")).astype(dtype)
    bits = 8 if eight else 12
    dataset = make_image(pixels, bits=bits)
    if syntax == ExplicitVRBigEndian:
        raw = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        dataset.PixelData, dataset.file_meta.TransferSyntaxUID = raw + b"\0" * (len(raw) % 2), syntax
    elif syntax == ImplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    else:
        compress(dataset, syntax)
    stored = decode_pixels(dcmread(save(dataset)))
    np.testing.assert_array_equal(stored.codes, pixels.astype("i4") & (2**bits - 1))
    assert (stored.bits, stored.signed) == (bits, dtype.startswith("i"))


def test_eight_bit_words_of_a_big_endian_file_are_swapped_back(make_image, save, textured):
    pixels = (textured[:, :70] >> 4).astype(np.uint8)
    dataset = make_image(pixels, bits=8)
    dataset.PixelData = pixels.ravel().view("<u2").astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_array_equal(decode_pixels(dcmread(save(dataset))).codes, pixels)


@pytest.mark.parametrize(
    ("program", "option", "tolerance"),
    [
        ("dcmcrle", "", 0),
        ("dcmcjpls", "+el", 0),
        ("dcmcjpls", "+en", 3),
        ("dcmcjpeg", "+e1", 0),
        ("dcmcjpeg", "+el", 0),
        ("dcmcjpeg", "+ee", None),
        ("dcmcjpeg", "+eb", None),
    ],
)
def test_what_dcmtk_encodes(require_peer, make_image, save, textured, program, option, tolerance):
    """Lossy encodings stretch the values to the range first, hence only how they go together is compared."""
    folder = Path(require_peer("dcmtk")).parent
    path = save(make_image(textured))
    encoded = path.with_suffix(".encoded")
    subprocess.run([folder / program, *filter(None, [option]), path, encoded], check=True)
    stored = decode_pixels(dcmread(encoded))
    assert stored.codes.shape == textured.shape
    if tolerance is None:
        assert np.corrcoef(stored.codes.ravel(), textured.ravel())[0, 1] > 0.999
        if option == "+ee":
            assert stored.codes.max() > 255
    else:
        assert np.abs(stored.codes.astype(int) - textured).max() <= tolerance


@pytest.mark.parametrize("option", ["+e1", "+el", "+ee"])
def test_damage_that_the_jpeg_decoder_would_pass_over_or_die_of(
    require_peer, make_image, save, textured, option
):
    folder = Path(require_peer("dcmtk")).parent
    path = save(make_image(textured))
    encoded = path.with_suffix(".encoded")
    subprocess.run([folder / "dcmcjpeg", option, path, encoded], check=True)
    dataset = dcmread(encoded)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\0")
    for damaged in (
        frame[: len(frame) * 2 // 3],
        frame[: len(frame) * 2 // 3] + b"\xff\xd9",
        frame.replace(b"\xff\xc4\0", b"\xff\xc4\xf0"),
    ):
        dataset.PixelData = encapsulate([damaged])
        assert refusal_of(dataset).code == ReasonCode.DAMAGED_PIXELS


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dcmtk_shows_the_same_picture(require_peer, make_image, save, textured, photometric):
    folder = Path(require_peer("dcmtk")).parent
    path = save(
        make_image(textured, WindowCenter=2100, WindowWidth=2500, PhotometricInterpretation=photometric)
    )
    shown = path.with_suffix(".pgm")
    subprocess.run([folder / "dcm2pnm", "--use-window", "1", path, shown], check=True)
    difference = np.asarray(Image.open(shown)) / 255 - read_radiograph(LocalFile(path)).pixels
    assert np.abs(difference).max() < 1.5 / 255


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_stream_in_several_fragments(make_image, textured, syntax):
    dataset = compress(make_image(textured), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=3)
    np.testing.assert_array_equal(decode_pixels(dataset).codes, textured)


def test_near_lossless_jpeg_ls(make_image, textured):
    stored = decode_pixels(compress(make_image(textured), JPEGLSNearLossless))
    assert 0 < np.abs(stored.codes.astype(int) - textured).max() <= 2


def test_bits_above_the_stored_ones_are_masked(make_image, textured):
    overlay = textured | np.uint16(0xA000)
    np.testing.assert_array_equal(decode_pixels(make_image(overlay)).codes, textured)


def test_a_high_bit_above_the_stored_ones_is_shifted_down(make_image, textured):
    dataset = make_image((textured << 4) | np.uint16(0x000F), HighBit=15)
    np.testing.assert_array_equal(decode_pixels(dataset).codes, textured)


@pytest.mark.parametrize("planar", [0, 1])
def test_grey_in_colour_is_read(make_image, textured, planar):
    grey = (textured >> 4).astype(np.uint8)
    colour = np.stack([grey] * 3, axis=2)
    dataset = make_image(colour, bits=8, PlanarConfiguration=planar)
    if planar:
        dataset.PixelData = np.ascontiguousarray(colour.transpose(2, 0, 1)).tobytes()
    np.testing.assert_array_equal(decode_pixels(dataset).codes, grey)


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_grey_in_compressed_colour_is_read(make_image, textured, syntax):
    grey = (textured >> 4).astype(np.uint8)
    colour = np.stack([grey] * 3, axis=2)
    dataset = make_image(colour, bits=8)
    if syntax == JPEG2000Lossless:
        dataset.PhotometricInterpretation = "YBR_RCT"
        frame = get_encoder(syntax).encode(
            make_image(colour, bits=8), photometric_interpretation="RGB", use_mct=True
        )
        dataset.PixelData, dataset.file_meta.TransferSyntaxUID = encapsulate([frame]), syntax
        dataset["PixelData"].is_undefined_length = True
    else:
        compress(dataset, syntax)
    np.testing.assert_array_equal(decode_pixels(dataset).codes, grey)


@pytest.fixture
def jpeg_colour(make_image):
    """A colour JPEG of given pixels, as a screen capture."""

    def make(colour):
        file = io.BytesIO()
        Image.fromarray(colour).save(file, "JPEG", quality=90)
        dataset = make_image(colour, bits=8, PhotometricInterpretation="YBR_FULL_422")
        dataset.PixelData = encapsulate([file.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        return dataset

    return make


def test_grey_in_lossy_colour_is_read(jpeg_colour, textured):
    grey = (textured >> 4).astype(np.uint8)
    stored = decode_pixels(jpeg_colour(np.stack([grey] * 3, axis=2)))
    assert np.abs(stored.codes.astype(int) - grey).mean() < 3
    assert stored.photometric == "MONOCHROME2"


def test_colour_is_refused(make_image, jpeg_colour, textured):
    colour = np.stack([(textured >> 4).astype(np.uint8)] * 3, axis=2)
    colour[40:50, 40:50, 0] ^= 0x7F
    for dataset in (make_image(colour, bits=8), jpeg_colour(colour)):
        refusal = refusal_of(dataset)
        assert (refusal.code, refusal.detail) == (ReasonCode.UNSUPPORTED_PIXELS, "colour")


def test_no_pixels(make_image):
    without, empty = make_image(PixelData=None), make_image(PixelData=b"")
    assert refusal_of(without).code == refusal_of(empty).code == ReasonCode.NO_PIXELS


@pytest.mark.parametrize(
    "attributes",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": ""},
        {"PhotometricInterpretation": "RGB"},
        {"SamplesPerPixel": 4},
        {"NumberOfFrames": 2},
        {"NumberOfFrames": 0},
        {"NumberOfFrames": -1},
        {"BitsAllocated": 32},
        {"BitsAllocated": 12},
        {"BitsAllocated": 1},
        {"FloatPixelData": b"\0\0\x80\x3f"},
    ],
)
def test_kinds_of_pixels_that_are_not_read(make_image, attributes):
    assert refusal_of(make_image(**attributes)).code == ReasonCode.UNSUPPORTED_PIXELS


def test_one_frame_is_a_frame(make_image, ramp):
    assert decode_pixels(make_image(NumberOfFrames=1)).codes.shape == ramp.shape


@pytest.mark.parametrize(
    "attributes",
    [
        {"BitsStored": 17, "HighBit": 16},
        {"BitsStored": 0},
        {"BitsStored": None},
        {"HighBit": 16},
        {"HighBit": 3},
        {"Rows": 0},
        {"Rows": None},
        {"Columns": [64, 64]},
        {"Rows": 63},
        {"Rows": 65},
        {"Columns": 32},
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"PixelRepresentation": 2},
    ],
)
def test_a_header_that_contradicts_itself_or_the_pixels(make_image, attributes):
    assert refusal_of(make_image(**attributes)).code == ReasonCode.DAMAGED_PIXELS


@pytest.mark.parametrize(
    "change", [lambda data: data[:-2], lambda data: data + b"\0\0", lambda data: data * 2]
)
def test_pixel_data_of_another_length(make_image, ramp, change):
    refusal = refusal_of(make_image(PixelData=change(ramp.tobytes())))
    assert refusal.code == ReasonCode.DAMAGED_PIXELS


def test_a_huge_image_is_refused_before_anything_else(make_image):
    assert MAX_PIXELS < 65535 * 65535
    assert refusal_of(make_image(Rows=65535, Columns=65535)).code == ReasonCode.TOO_LARGE


def bombs(frame: bytes, syntax: str) -> bytes:
    """The frame, with 65500 x 65500 written into its own header."""
    damaged = bytearray(frame)
    if syntax == JPEG2000Lossless:
        struct.pack_into(">2L", damaged, 8, 65500, 65500)
    else:
        start = frame.index(b"\xff\xf7" if syntax == JPEGLSLossless else b"\xff\xc0")
        struct.pack_into(">2H", damaged, start + 5, 65500, 65500)
    return bytes(damaged)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, JPEGBaseline8Bit])
def test_a_decompression_bomb_is_refused_before_decoding(make_image, jpeg_colour, textured, syntax):
    if syntax == JPEGBaseline8Bit:
        dataset = jpeg_colour(np.stack([(textured >> 4).astype(np.uint8)] * 3, axis=2))
    else:
        dataset = compress(make_image(textured), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([bombs(frame, syntax)])
    refusal = refusal_of(dataset)
    assert refusal.code == ReasonCode.DAMAGED_PIXELS
    assert refusal.detail == "the compressed image's size is not that of the header"


def rle(*segments: bytes) -> bytes:
    offsets = [64 + sum(map(len, segments[:index])) for index in range(len(segments))]
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


@pytest.mark.parametrize(
    "frame",
    [
        rle(b"\x81\0" * 100_000),
        rle(b"\x81\0" * 31),
        rle(b"\x81\0" * 32, b"\x81\0" * 32),
        rle(),
        struct.pack("<16L", 1, 5, *[0] * 14) + b"\x81\0" * 32,
        struct.pack("<16L", 1, 5000, *[0] * 14) + b"\x81\0" * 32,
        b"\x01\0\0\0",
    ],
    ids=["bomb", "short", "segments", "none", "offset in header", "offset beyond", "cut"],
)
def test_rle_segments_that_do_not_fit(make_image, frame):
    dataset = make_image(np.zeros((64, 64), np.uint8), bits=8)
    dataset.file_meta.TransferSyntaxUID = RLELossless
    dataset.PixelData = encapsulate([rle(b"\x81\0" * 32)])
    assert (decode_pixels(dataset).codes == 0).all()
    dataset.PixelData = encapsulate([frame])
    assert refusal_of(dataset).code == ReasonCode.DAMAGED_PIXELS


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.95])
def test_a_stream_that_is_cut_short(make_image, textured, syntax, keep):
    dataset = compress(make_image(textured), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: int(len(frame) * keep)] or b"\0\0"])
    assert refusal_of(dataset).code == ReasonCode.DAMAGED_PIXELS


def test_a_stream_of_another_transfer_syntax(make_image, textured):
    dataset = compress(make_image(textured), JPEGLSLossless)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert refusal_of(dataset).code == ReasonCode.DAMAGED_PIXELS


def test_uncompressed_pixels_under_a_compressed_transfer_syntax(make_image):
    dataset = make_image()
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    assert refusal_of(dataset).code == ReasonCode.DAMAGED_PIXELS


@pytest.mark.parametrize("syntax", [MPEG2MPML, "1.2.3.4", None])
def test_other_transfer_syntaxes(make_image, syntax):
    dataset = make_image()
    if syntax is None:
        del dataset.file_meta.TransferSyntaxUID
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    assert refusal_of(dataset).code == ReasonCode.UNSUPPORTED_PIXELS


def test_a_deflated_file_is_never_inflated(make_image, save):
    dataset = make_image(PixelData=b"\0" * 10_000_000)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(dataset)
    # Cut short, so that inflating would fail.
    path.write_bytes(path.read_bytes()[:2000])
    assert refusal_of(path).code == ReasonCode.UNSUPPORTED_PIXELS


@pytest.mark.parametrize("content", [b"", b"DICM", b"\0" * 128 + b"DICM", b"not a DICOM file" * 100])
def test_files_that_are_not_dicom(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert refusal_of(path).code in (ReasonCode.UNREADABLE_FILE, ReasonCode.UNSUPPORTED_OBJECT)


def test_a_missing_file_is_the_machine_s_fault(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_radiograph(LocalFile(tmp_path / "none"))


@pytest.mark.parametrize("name", ["RG1_UNCR", "RG1_J2KR", "RG3_UNCR", "RG3_J2KR"])
def test_real_computed_radiographs(name):
    """Chest and lower leg, MONOCHROME1, 15 and 10 bits: the body is bright, the air beside it dark."""
    data_store = pytest.importorskip("data_store")
    dataset = dcmread(Path(data_store.__file__).parent / "data" / f"{name}.dcm")
    assert refusal_of(dataset).code == ReasonCode.NOT_A_HAND
    dataset.BodyPartExamined, dataset.PatientBirthDate = "HAND", ""
    pixels = read_radiograph(dataset).pixels
    body, air = ((0.5, 0.5), (0.05, 0.97)) if name.startswith("RG1") else ((0.2, 0.48), (0.5, 0.28))
    at = [pixels[int(y * pixels.shape[0]), int(x * pixels.shape[1])] for y, x in (body, air)]
    assert at[0] > 0.6
    assert at[1] < 0.25
