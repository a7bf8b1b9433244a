"""Reading which instance a file holds."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless
from support.dimse import PATIENT, element, encode, make_radiograph, write_radiograph, write_raw

from boneage_node.dimse.identifiers import Identifiers, read_identifiers
from boneage_node.dimse.status import RequestError, Status

TAGS = {
    "SOPClassUID": (0x0008, 0x0016),
    "SOPInstanceUID": (0x0008, 0x0018),
    "StudyInstanceUID": (0x0020, 0x000D),
    "SeriesInstanceUID": (0x0020, 0x000E),
}
KEYWORDS = tuple(TAGS)


def read_uids(path: Path, keywords: tuple[str, ...]) -> dict[str, str]:
    return read_identifiers(path, keywords).uids


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless]
)
def test_uids_are_read_in_any_encoding(tmp_path: Path, syntax: str) -> None:
    image = write_radiograph(tmp_path / "image.dcm", syntax)
    assert read_uids(tmp_path / "image.dcm", KEYWORDS) == {
        keyword: str(image[keyword].value) for keyword in KEYWORDS
    }


def test_zeros_in_front_of_a_component_are_let_pass(tmp_path: Path) -> None:
    data = b"".join(element(*tag, b"1.02.3") for tag in TAGS.values())
    write_raw(tmp_path / "image.dcm", data)
    assert read_uids(tmp_path / "image.dcm", KEYWORDS) == dict.fromkeys(KEYWORDS, "1.02.3")


@pytest.mark.parametrize("bad", KEYWORDS)
@pytest.mark.parametrize(
    "value",
    [None, b"", PATIENT.encode(), b"../../etc/passwd", b"1.2\\3.4", b"1" * 65, b"1.2\x003", b"1.\xb2"],
)
def test_what_is_missing_or_no_uid_is_named_and_never_quoted(
    tmp_path: Path, bad: str, value: bytes | None
) -> None:
    values = {**dict.fromkeys(KEYWORDS, b"1.2.3"), bad: value}
    data = b"".join(element(*TAGS[keyword], value) for keyword, value in values.items() if value is not None)
    write_raw(tmp_path / "image.dcm", data)
    with pytest.raises(RequestError) as caught:  # and no warning, which is an error here
        read_uids(tmp_path / "image.dcm", KEYWORDS)
    assert caught.value.status == Status.CANNOT_UNDERSTAND
    assert caught.value.comment == f"{bad} is missing or not a UID"


def test_a_data_set_that_ends_in_the_middle_cannot_be_parsed(tmp_path: Path) -> None:
    write_raw(tmp_path / "image.dcm", encode(make_radiograph())[:70])
    with pytest.raises(RequestError) as caught:
        read_uids(tmp_path / "image.dcm", KEYWORDS)
    assert caught.value.status == Status.CANNOT_UNDERSTAND


def test_a_data_set_that_begins_with_file_meta_information_is_refused_unread(tmp_path: Path) -> None:
    # A reader takes these elements for the file's own: deflated, a few bytes in a radiograph's place.
    smuggled = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 22) + b"1.2.840.10008.1.2.1.99"
    deflated = zlib.compress(encode(make_radiograph(), ExplicitVRLittleEndian), wbits=-zlib.MAX_WBITS)
    for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian):
        write_raw(tmp_path / "image.dcm", smuggled + deflated, syntax)
        with pytest.raises(RequestError) as caught:
            read_uids(tmp_path / "image.dcm", KEYWORDS)
        assert caught.value.status == Status.CANNOT_UNDERSTAND
        assert caught.value.comment == "The data set begins with another kind of group"


def test_items_without_number_are_not_read_to_their_end(tmp_path: Path) -> None:
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    sequence = struct.pack("<HHL", 0x0008, 0x0006, 2**32 - 1) + item * 2**17
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    write_raw(tmp_path / "image.dcm", sequence + end + encode(make_radiograph()))
    with pytest.raises(RequestError) as caught:
        read_uids(tmp_path / "image.dcm", KEYWORDS)
    assert caught.value.status == Status.CANNOT_UNDERSTAND


def test_a_uid_of_megabytes_is_not_read(tmp_path: Path) -> None:
    write_raw(
        tmp_path / "image.dcm", element(*TAGS["SOPInstanceUID"], bytes(2**21)) + encode(make_radiograph())
    )
    with pytest.raises(RequestError) as caught:
        read_uids(tmp_path / "image.dcm", KEYWORDS)
    assert caught.value.status == Status.CANNOT_UNDERSTAND


def test_megabytes_of_a_private_element_in_front_are_passed_over(tmp_path: Path) -> None:
    image = make_radiograph()
    thumbnail = element(0x0009, 0x0010, b"VENDOR") + element(0x0009, 0x1001, bytes(2**22))
    uids = {keyword: str(image[keyword].value) for keyword in KEYWORDS}
    first = b"".join(element(*TAGS[keyword], uids[keyword].encode()) for keyword in KEYWORDS[:2])
    last = b"".join(element(*TAGS[keyword], uids[keyword].encode()) for keyword in KEYWORDS[2:])
    write_raw(tmp_path / "image.dcm", first + thumbnail + last)
    assert read_uids(tmp_path / "image.dcm", KEYWORDS) == uids


@settings(deadline=None)
@given(
    data=st.binary(max_size=300),
    prefix=st.integers(0, 200),
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]),
)
def test_any_bytes_are_either_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, prefix: int, syntax: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.dcm"
    write_raw(path, encode(make_radiograph(), syntax)[:prefix] + data, syntax)
    with suppress(RequestError):
        read_uids(path, KEYWORDS)


@pytest.mark.parametrize(
    ("character_set", "written", "accession_number"),
    [
        (None, b"A123 ", "A123"),
        (None, None, ""),
        (b"ISO_IR 100", "Ä-7".encode("latin-1"), "Ä-7"),
        (b"ISO_IR 192", "Ä-7".encode(), "Ä-7"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B-7", "山田-7"),
        pytest.param(b"no such set", b"A\xff", "Aÿ", marks=pytest.mark.filterwarnings("ignore")),
        (b"ISO_IR 192", b"A\xff", "A\N{REPLACEMENT CHARACTER}"),
        (b"ISO 2022 IR 87", b"\x1b", "\x1b"),
    ],
)
def test_the_accession_number_is_read_in_its_characters(
    tmp_path: Path, character_set: bytes | None, written: bytes | None, accession_number: str
) -> None:
    values = {(0x0008, 0x0005): character_set, (0x0008, 0x0050): written}
    values |= {TAGS[keyword]: b"1.2.3" for keyword in KEYWORDS}
    data = [element(*tag, value) for tag, value in sorted(values.items()) if value is not None]
    write_raw(tmp_path / "image.dcm", b"".join(data))
    assert read_identifiers(tmp_path / "image.dcm", KEYWORDS) == Identifiers(
        dict.fromkeys(KEYWORDS, "1.2.3"), accession_number
    )
