"""Whatever bytes arrive, the answer is a radiograph or a refusal."""

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from boneage_node.bone_age import Refusal
from boneage_node.radiograph import choose_hand_image, read_radiograph
from boneage_node.traffic.file import LocalFile

KEYWORDS = [
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ModalityLUTSequence",
    "PixelData",
    "PixelIntensityRelationshipSign",
    "PresentationIntentType",
    "PresentationLUTShape",
    "PixelAspectRatio",
]
VRS = ["CS", "DS", "IS", "US", "SS", "SQ", "UN", "OB", "OW", "FD", "LO", "UL", "AT"]
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def answer(source):
    """Read; anything raised but a refusal is the failure looked for."""
    try:
        pixels = read_radiograph(source).pixels
    except Refusal:
        return
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert pixels.min() >= 0
    assert pixels.max() <= 1


NUMBERS = st.one_of(
    st.binary(max_size=12),
    st.floats(width=32).map(lambda number: f"{number:.6g}".encode()),
    st.integers(0, 65535).map(lambda number: number.to_bytes(2, "little")),
)


@QUICK
@given(st.lists(st.tuples(st.sampled_from(KEYWORDS), st.sampled_from(VRS), NUMBERS), min_size=1, max_size=4))
def test_bytes_in_the_attributes_of_the_pixels(make_image, elements):
    dataset = make_image()
    for keyword, vr, value in elements:
        tag = Tag(tag_for_keyword(keyword))
        dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    answer(dataset)


@pytest.fixture(scope="module")
def textured():
    return np.random.default_rng(3).integers(0, 4096, (40, 48)).astype(np.uint16)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@QUICK
@given(st.data())
def test_files_with_bytes_changed_or_missing(make_image, save, tmp_path, textured, syntax, data):
    path = tmp_path / f"{syntax}.dcm"
    if not path.exists():
        dataset = make_image(textured)
        if syntax != ExplicitVRLittleEndian:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    places = st.integers(132, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        content[place] = value
    end = data.draw(st.one_of(st.just(len(content)), places))
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(bytes(content[:end]))
    answer(LocalFile(damaged))
    choose_hand_image([LocalFile(damaged)])


def test_deeply_nested_sequences(make_image, tmp_path):
    file = io.BytesIO()
    make_image().save_as(file, enforce_file_format=True)
    # (0008,1111) of undefined length in an item of undefined length, in itself.
    opening = b"\x08\x00\x11\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = tmp_path / "nested.dcm"
    path.write_bytes(file.getvalue()[: 132 + 200] + opening * 5000)
    answer(LocalFile(path))


def test_a_whole_file_still_reads(make_image, save):
    assert dcmread(save(make_image())).Rows == read_radiograph(LocalFile(save(make_image()))).header.rows
