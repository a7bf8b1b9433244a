import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_help import ASSESSMENT, CREATED_AT, REFUSAL, SHA256, radiograph

from boneage_node.bone_age import ReasonCode, Refusal, Sex
from boneage_node.report import DeviceIdentity, assessment_sr, derive_uid, refusal_sr


def report(source=None, assessment=ASSESSMENT, source_sha256=SHA256, **arguments):
    source = radiograph() if source is None else source
    arguments = {"created_at": CREATED_AT, **arguments}
    return assessment_sr(source, assessment, source_sha256=source_sha256, **arguments)


@given(st.lists(st.text(), min_size=1))
def test_a_derived_uid_is_a_valid_uid(parts):
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]{0,38})", derive_uid(*parts))


def test_derived_uids_never_change():
    # Reports already in a PACS have these: another value would send every study's report a second time.
    assert derive_uid("a", "b") == "2.25.104740645814037585000435694562482962558"
    assert derive_uid("ab") != derive_uid("a", "b") != derive_uid("b", "a")


def test_the_same_reading_is_the_same_object_whenever_it_is_made():
    first, second = report(), report(created_at=CREATED_AT.replace(year=2027))
    assert first.SOPInstanceUID == second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.ContentDate != second.ContentDate


@pytest.mark.parametrize(
    "changes",
    [
        {"source_sha256": "00" * 32},
        {"source": radiograph(SOPInstanceUID="1.2.3")},
        {"assessment": replace(ASSESSMENT, model=replace(ASSESSMENT.model, sha256="cd" * 32))},
        {"assessment": replace(ASSESSMENT, sex=Sex.FEMALE)},
        {"assessment": replace(ASSESSMENT, sex=None)},
        {"device": DeviceIdentity(software_version="9.9.9")},
    ],
    ids=["file", "image", "model", "sex", "sex unknown", "software"],
)
def test_another_reading_is_another_instance_of_the_same_series(changes):
    first, second = report(), report(**changes)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID


def test_a_series_never_spans_two_studies():
    assert report().SeriesInstanceUID != report(radiograph(StudyInstanceUID="1.2.3")).SeriesInstanceUID


def test_refusals_have_a_series_of_their_own_and_an_instance_for_each_reason():
    arguments = {"source_sha256": SHA256, "created_at": CREATED_AT}
    first = refusal_sr(radiograph(), REFUSAL, **arguments)
    second = refusal_sr(radiograph(), Refusal(ReasonCode.ADULT), **arguments)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != report().SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SOPInstanceUID == refusal_sr(radiograph(), REFUSAL, **arguments).SOPInstanceUID


def test_the_device_keeps_its_uid_over_versions():
    assert DeviceIdentity("A").uid == DeviceIdentity("A", software_version="9").uid != DeviceIdentity("B").uid
