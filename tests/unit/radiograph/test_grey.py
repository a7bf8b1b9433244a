from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from boneage_node.radiograph import read_radiograph
from boneage_node.traffic.file import LocalFile


def read(dataset):
    radiograph = read_radiograph(LocalFile(dataset) if isinstance(dataset, Path) else dataset)
    assert radiograph.pixels.dtype == np.float32
    assert np.isfinite(radiograph.pixels).all()
    assert radiograph.pixels.min() >= 0
    assert radiograph.pixels.max() <= 1
    return radiograph


def grey(dataset):
    """Grey of the ramp by stored value: shape (4096,)."""
    return read(dataset).pixels.ravel()


def lut(entries, first, bits, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", vr, [int(entry) for entry in entries] if vr == "US" else entries.tobytes())
    return [item]


def test_without_a_window_the_image_fills_the_range_but_for_its_extremes(make_image):
    result = grey(make_image())
    assert result[0] == 0
    assert result[-1] == 1
    assert result[2048] == pytest.approx(0.5, abs=0.001)
    assert np.count_nonzero((result > 0) & (result < 1)) == pytest.approx(0.998 * 4096, abs=3)


def test_a_few_hot_pixels_do_not_darken_the_image(make_image):
    pixels = np.tile(np.arange(256, dtype=np.uint16), (256, 1))
    pixels[0, :3] = 4095
    assert read(make_image(pixels)).pixels[100, 200] > 0.7


def test_monochrome1_is_turned_over(make_image):
    plain, turned = grey(make_image()), grey(make_image(PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(turned, 1 - plain, atol=1e-6)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")])
def test_presentation_lut_shape_only_repeats_the_photometric_interpretation(make_image, photometric, shape):
    without = grey(make_image(PhotometricInterpretation=photometric))
    result = grey(make_image(PhotometricInterpretation=photometric, PresentationLUTShape=shape))
    np.testing.assert_array_equal(result, without)


def test_photometric_interpretation_goes_before_a_presentation_lut_shape_that_contradicts_it(make_image):
    assert grey(make_image(PresentationLUTShape="INVERSE"))[0] == 0


@pytest.mark.parametrize(
    ("photometric", "sign", "intent", "slope", "bright"),
    [
        ("MONOCHROME2", 1, "FOR PROCESSING", None, "low"),
        ("MONOCHROME1", 1, "FOR PROCESSING", None, "low"),
        ("MONOCHROME1", -1, "FOR PROCESSING", None, "high"),
        ("MONOCHROME1", -1, "FOR PROCESSING", -1, "high"),
        ("MONOCHROME2", 1, "FOR PRESENTATION", None, "high"),
        ("MONOCHROME1", -1, "FOR PRESENTATION", None, "low"),
    ],
)
def test_for_processing_bone_is_bright_by_x_ray_intensity(
    make_image, photometric, sign, intent, slope, bright
):
    dataset = make_image(
        PhotometricInterpretation=photometric,
        PixelIntensityRelationshipSign=sign,
        PresentationIntentType=intent,
    )
    if slope:
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, 0
    result = grey(dataset)
    assert (result[0] < result[-1]) == (bright == "high")


def test_linear_window_as_the_standard_computes_it(make_image):
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5)
    result = grey(make_image(WindowCenter=2048, WindowWidth=1025))
    values = np.arange(4096)
    np.testing.assert_allclose(result, np.clip((values - 2047.5) / 1024 + 0.5, 0, 1), atol=1e-6)


def test_linear_exact_window(make_image):
    result = grey(make_image(WindowCenter=2048, WindowWidth=1024, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(result, np.clip((np.arange(4096) - 2048) / 1024 + 0.5, 0, 1), atol=1e-6)


def test_sigmoid_window(make_image):
    result = grey(make_image(WindowCenter=2048, WindowWidth=1024, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(result, 1 / (1 + np.exp(-4 * (np.arange(4096) - 2048) / 1024)), atol=1e-6)


def test_an_unknown_function_is_linear(make_image):
    radiograph = read(make_image(WindowCenter=2048, WindowWidth=1025, VOILUTFunction="CUBIC"))
    np.testing.assert_array_equal(
        radiograph.pixels, read(make_image(WindowCenter=2048, WindowWidth=1025)).pixels
    )


def test_the_first_of_several_windows(make_image):
    several = grey(make_image(WindowCenter=[1000, 3000], WindowWidth=[800, 100]))
    np.testing.assert_array_equal(several, grey(make_image(WindowCenter=1000, WindowWidth=800)))


def test_rescale_comes_before_the_window(make_image):
    rescaled = make_image(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3095, WindowWidth=2049)
    np.testing.assert_allclose(
        grey(rescaled), np.clip((np.arange(4096) * 2 - 1000 - 3094.5) / 2048 + 0.5, 0, 1), atol=1e-6
    )


def test_a_negative_slope_turns_the_image_over(make_image):
    result = grey(make_image(RescaleSlope=-1, RescaleIntercept=4095))
    assert result[0] == 1
    assert result[-1] == 0


@pytest.mark.parametrize(
    "attributes",
    [
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -500},
        {"WindowCenter": 2048, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": "nan", "WindowWidth": 500},
        {"WindowCenter": 2048, "WindowWidth": "inf"},
        {"WindowCenter": 90000, "WindowWidth": 500},
        {"WindowCenter": -90000, "WindowWidth": 500},
        {"WindowCenter": 2048, "WindowWidth": 10_000_000},
        {"WindowCenter": 1e300, "WindowWidth": 1e-300, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2048},
        {"RescaleSlope": 0, "RescaleIntercept": 5},
        {"RescaleSlope": 1e308, "RescaleIntercept": -1e308},
        {"RescaleSlope": 1e-320, "RescaleIntercept": 1},
        {"RescaleSlope": "nan", "RescaleIntercept": "nan"},
    ],
)
def test_an_absurd_header_leaves_the_image_to_its_percentiles(make_image, attributes):
    radiograph = read(make_image(**attributes))
    np.testing.assert_allclose(radiograph.pixels, read(make_image()).pixels, atol=1e-6)


def test_a_window_that_clips_a_large_background_is_used(make_image):
    pixels = np.zeros((100, 100), np.uint16)
    pixels[:10, :10] = 2000 + np.arange(100).reshape(10, 10)
    radiograph = read(make_image(pixels, WindowCenter=2050, WindowWidth=201))
    assert radiograph.pixels[5, 5] == pytest.approx((2055 - 2049.5) / 200 + 0.5)


def test_a_window_that_leaves_a_few_pixels_is_not_used(make_image):
    pixels = np.tile(np.arange(2000, dtype=np.uint16), (100, 1))
    pixels[0, :600] = 4000 + np.arange(600) % 90
    radiograph = read(make_image(pixels, WindowCenter=4045, WindowWidth=91))
    assert radiograph.pixels[50, 1000] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_lut_goes_before_the_window(make_image, vr):
    entries = (np.arange(4096, dtype=np.uint16) // 1024) * 1000
    dataset = make_image(VOILUTSequence=lut(entries, 0, 16, vr), WindowCenter=1, WindowWidth=100)
    np.testing.assert_allclose(grey(dataset), np.arange(4096) // 1024 / 3, atol=1e-6)


def test_voi_lut_ends_go_on_beyond_its_entries(make_image):
    result = grey(make_image(VOILUTSequence=lut(np.arange(1000, dtype=np.uint16), 1500, 16)))
    assert (result[:1501] == 0).all()
    assert (result[2499:] == 1).all()
    assert result[2000] == pytest.approx(500 / 999)


def test_voi_lut_of_eight_bits_in_bytes(make_image):
    entries = np.linspace(0, 255, 4096).astype(np.uint8)
    result = grey(make_image(VOILUTSequence=lut(entries, 0, 8, "OW")))
    np.testing.assert_allclose(result, entries / 255, atol=1e-6)


def test_voi_lut_words_of_a_big_endian_file(make_image, ramp, save):
    entries = (np.arange(4096) * 3).astype(">u2")
    dataset = make_image(ramp.astype(">u2"), VOILUTSequence=lut(entries, 0, 16, "OW"))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_allclose(read(save(dataset)).pixels.ravel(), np.arange(4096) / 4095, atol=1e-6)


@pytest.mark.parametrize(
    "sequence",
    [
        [],
        [Dataset()],
        lut(np.zeros(4096, np.uint16), 0, 16),
        lut(np.arange(4096, dtype=np.uint16)[:0], 0, 16),
        lut(np.arange(20, dtype=np.uint16), 60000, 16),
    ],
)
def test_a_useless_lut_leaves_the_image_to_its_percentiles(make_image, sequence):
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        np.testing.assert_array_equal(grey(make_image(**{keyword: sequence})), grey(make_image()))


def test_modality_lut_comes_before_the_window(make_image):
    entries = np.arange(4096, dtype=np.uint16)[::-1] * 2
    dataset = make_image(ModalityLUTSequence=lut(entries, 0, 14), WindowCenter=4096, WindowWidth=4097)
    expected = np.clip((entries.astype(float) - 4095.5) / 4096 + 0.5, 0, 1)
    np.testing.assert_allclose(grey(dataset), expected, atol=1e-6)


def test_signed_values_and_a_lut_whose_first_value_is_negative(make_image, ramp):
    signed = ramp.astype(np.int16) - 2048
    dataset = make_image(signed, VOILUTSequence=lut(np.arange(4096, dtype=np.uint16), -2048, 16))
    np.testing.assert_allclose(grey(dataset), np.arange(4096) / 4095, atol=1e-6)
    dataset.VOILUTSequence[0].add_new("LUTDescriptor", "US", [4096, 65536 - 2048, 16])
    np.testing.assert_allclose(grey(dataset), np.arange(4096) / 4095, atol=1e-6)


def test_padding_is_black_and_counts_for_nothing(make_image, ramp):
    padded = np.full((200, 64), 60000, np.uint16)
    padded[:64] = ramp
    radiograph = read(make_image(padded, bits=16, PixelPaddingValue=60000))
    np.testing.assert_array_equal(radiograph.pixels[:64], read(make_image(bits=16)).pixels)
    assert (radiograph.pixels[64:] == 0).all()


def test_padding_of_monochrome1_is_black_too(make_image, ramp):
    padded = np.zeros((200, 64), np.uint16)
    padded[:64] = ramp + 100
    radiograph = read(
        make_image(padded, bits=16, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    )
    assert (radiograph.pixels[64:] == 0).all()
    assert radiograph.pixels[0, 0] == 1


def test_a_range_of_padding(make_image, ramp):
    result = grey(make_image(PixelPaddingValue=4000, PixelPaddingRangeLimit=4095))
    assert (result[4000:] == 0).all()
    assert result[3999] == 1


def test_negative_padding_read_as_unsigned(make_image, ramp):
    signed = ramp.astype(np.int16) - 2000
    dataset = make_image(signed, bits=16)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert grey(dataset)[0] == 0
    assert grey(dataset)[1] == 0  # of the image, its lowest thousandth
    dataset.PhotometricInterpretation = "MONOCHROME1"
    assert grey(dataset)[0] == 0
    assert grey(dataset)[1] == 1


@pytest.mark.parametrize("value", [0, 4095])
def test_a_flat_image_is_flat(make_image, value):
    radiograph = read(make_image(np.full((50, 50), value, np.uint16)))
    assert np.ptp(radiograph.pixels) == 0


def test_nothing_but_padding_is_black(make_image):
    radiograph = read(make_image(np.full((50, 50), 7, np.uint16), PixelPaddingValue=7))
    assert (radiograph.pixels == 0).all()
