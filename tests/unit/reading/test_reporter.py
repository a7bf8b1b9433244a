"""What is made of an answer: reports that know what was said before, and what is sent of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage
from support.report import ASSESSMENT, REFUSAL
from support.store import Clock, claim_one, queue_study

from boneage_node.bone_age import Assessment, Refusal, Sex
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.radiograph import choose_hand_image
from boneage_node.reading.reporter import Reporter
from boneage_node.reading.settings import ReportSettings
from boneage_node.store import ReportDetail, Store
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import EarlierBoneAge

BOY = replace(ASSESSMENT, sex=Sex.MALE)


@pytest.fixture
def image(sample_dicom: Path) -> Dataset:
    return dcmread(sample_dicom / "boy-12y-dx-16bit.dcm")


def read(
    store: Store,
    tmp_path: Path,
    image: Dataset,
    answer: Assessment | Refusal = BOY,
    send_to: Sequence[str] = ("PACS@pacs:104",),
    **settings: Any,
) -> ReportDetail:
    """Receive the image, or read its study again, and report the answer; gives the study's last report."""
    uid = str(image.StudyInstanceUID)
    image.save_as(tmp_path / "image.dcm")
    if any(study.study_instance_uid == uid for study in store.studies.list()):
        store.studies.read_again(uid)
    else:
        queue_study(store, uid, (tmp_path / "image.dcm").read_bytes())
    job = claim_one(store)
    choice = choose_hand_image([instance.file for instance in job.instances])
    reporter = Reporter(
        ReportSettings(**settings), store, "BONEAGE", DeliverySettings(send_to=send_to).by_form()
    )
    store.queue.complete(job, "worker-1", [reporter.report(job, choice, answer)])
    return store.studies.show(uid).reports[-1]


def dicom(report: ReportDetail, form: DocumentForm) -> Dataset:
    document = report.document(form)
    assert document is not None
    with document.file.open() as file:
        return dcmread(file)


def next_study(image: Dataset, days: int) -> Dataset:
    """The same patient so many days later."""
    later = deepcopy(image)
    later.StudyInstanceUID = f"{image.StudyInstanceUID[:50]}.{days}"
    day = (study_date(image) + timedelta(days=days)).strftime("%Y%m%d")
    later.StudyDate = later.SeriesDate = later.AcquisitionDate = later.ContentDate = day
    return later


def study_date(image: Dataset) -> date:
    return datetime.strptime(image.StudyDate, "%Y%m%d").date()


def test_a_report_is_sent_with_its_picture(store: Store, tmp_path: Path, image: Dataset) -> None:
    report = read(store, tmp_path, image)
    assert [document.form for document in report.documents] == [DocumentForm.SR, DocumentForm.PICTURE]
    picture = dicom(report, DocumentForm.PICTURE)
    assert picture.StudyInstanceUID == image.StudyInstanceUID
    assert picture.pixel_array.shape[0] == 1500
    assert len(store.studies.show(str(image.StudyInstanceUID)).deliveries) == 2


def test_whose_study_it_is_is_copied_byte_for_byte(store: Store, tmp_path: Path, image: Dataset) -> None:
    """Though it is read, too, to find earlier studies: decoded and encoded again it would be another."""
    image.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    image.set_original_encoding(*image.original_encoding, convert_encodings(image.SpecificCharacterSet))
    encoded = b"A\x1b$B0!\x1b(B178"
    image[0x00100020] = RawDataElement(Tag(0x00100020), "LO", len(encoded), encoded, 0, False, True)
    report = read(store, tmp_path, image)
    for form in (DocumentForm.SR, DocumentForm.PICTURE):
        assert dicom(report, form).get_item("PatientID").value == encoded


def test_a_report_opens_no_file_again(store: Store, tmp_path: Path, image: Dataset) -> None:
    image.save_as(tmp_path / "image.dcm")
    queue_study(store, str(image.StudyInstanceUID), (tmp_path / "image.dcm").read_bytes())
    job = claim_one(store)
    choice = choose_hand_image([instance.file for instance in job.instances])
    for instance in job.instances:
        store.spool.discard(instance.file.key)
    reporter = Reporter(
        ReportSettings(), store, "BONEAGE", DeliverySettings(send_to=["PACS@pacs:104"]).by_form()
    )
    assert len(reporter.report(job, choice, BOY).documents) == 2


def test_without_a_destination_nothing_is_drawn_or_kept(store: Store, tmp_path: Path, image: Dataset) -> None:
    report = read(store, tmp_path, image, send_to=[])
    assert report.documents == []
    assert report.result.bone_age_months == 98.4


def test_pictures_refusals_and_the_class_are_as_set(store: Store, tmp_path: Path, image: Dataset) -> None:
    plain = read(store, tmp_path, image, send_pictures=False, sr_class="comprehensive-3d")
    assert [document.form for document in plain.documents] == [DocumentForm.SR]
    assert dicom(plain, DocumentForm.SR).SOPClassUID == Comprehensive3DSRStorage
    assert read(store, tmp_path, next_study(image, 1), REFUSAL, send_refusals=False).documents == []
    refused = read(store, tmp_path, next_study(image, 2), REFUSAL)
    assert [document.form for document in refused.documents] == [DocumentForm.SR, DocumentForm.PICTURE]


def test_a_study_read_again_for_another_class_has_a_report_in_it(
    store: Store, tmp_path: Path, image: Dataset
) -> None:
    first = dicom(read(store, tmp_path, image), DocumentForm.SR)
    second = dicom(read(store, tmp_path, image, sr_class="comprehensive-3d"), DocumentForm.SR)
    assert second.SOPClassUID == Comprehensive3DSRStorage
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert second.InstanceNumber == first.InstanceNumber + 1


def test_a_study_read_again_names_the_report_it_follows(store: Store, tmp_path: Path, image: Dataset) -> None:
    first = dicom(read(store, tmp_path, image), DocumentForm.SR)
    newer = replace(BOY, model=replace(BOY.model, sha256="cd" * 32), bone_age_months=140.0)
    report = read(store, tmp_path, image, newer)
    second = dicom(report, DocumentForm.SR)
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert second.SeriesInstanceUID != first.SeriesInstanceUID
    assert second.SeriesDescription == "Bone age 2 (AI), replaces 1"
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    (study,) = second.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == first.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert dicom(report, DocumentForm.PICTURE).InstanceNumber == 2


def test_a_reading_after_a_refusal_says_at_a_glance_that_it_replaces_it(
    store: Store, tmp_path: Path, image: Dataset
) -> None:
    refused = read(store, tmp_path, image, REFUSAL)
    report = read(store, tmp_path, image)
    for form, description in ((DocumentForm.SR, "Bone age"), (DocumentForm.PICTURE, "Bone age picture")):
        first, second = dicom(refused, form), dicom(report, form)
        assert second.SeriesInstanceUID != first.SeriesInstanceUID
        assert second.SeriesNumber > first.SeriesNumber
        assert second.SeriesDescription == f"{description} 2 (AI), replaces 1"
    assert dicom(refused, DocumentForm.SR).SeriesDescription == "Bone age (AI): not read"


def test_the_same_reading_again_is_no_second_report(store: Store, tmp_path: Path, image: Dataset) -> None:
    for _ in range(2):
        read(store, tmp_path, image)
    assert len(store.studies.show(str(image.StudyInstanceUID)).reports) == 1
    assert len(list(store.spool.keys())) == 3  # the image, its report, its picture


def test_a_study_that_comes_back_to_an_answer_says_it_anew(
    store: Store, tmp_path: Path, image: Dataset
) -> None:
    """A PACS shows the newest report: after an older model is back that must be its own."""
    other = replace(BOY, model=replace(BOY.model, sha256="cd" * 32), bone_age_months=140.0)
    reports = [read(store, tmp_path, image, answer) for answer in (BOY, other, BOY, BOY, other)]
    first, second, third, same, last = [dicom(report, DocumentForm.SR) for report in reports]
    assert len({report.SOPInstanceUID for report in (first, second, third, last)}) == 4
    assert same.SOPInstanceUID == third.SOPInstanceUID
    assert [report.InstanceNumber for report in (first, second, third, last)] == [1, 2, 3, 4]


def test_earlier_studies_of_the_patient_are_told(
    store: Store, tmp_path: Path, image: Dataset, clock: Clock
) -> None:
    assert read(store, tmp_path, image).result.earlier is None
    advanced = replace(BOY, bone_age_months=BOY.bone_age_months + 18.0)
    earlier = read(store, tmp_path, next_study(image, 365), advanced).result.earlier
    assert earlier is not None
    assert earlier.readings == (EarlierBoneAge(study_date(image).isoformat(), 98.4),)
    assert earlier.bone_age_months_per_month == 1.5
    assert earlier.repeatability_months is None
    telling = replace(advanced, repeatability_months=3.1)
    last = read(store, tmp_path, next_study(image, 400), telling).result.earlier
    assert last is not None
    assert last.repeatability_months == 3.1
    assert len(last.readings) == 2
    assert last.since == study_date(image).isoformat()  # the nearer one is too near


def test_an_earlier_study_that_was_refused_in_the_end_is_not_told(
    store: Store, tmp_path: Path, image: Dataset
) -> None:
    read(store, tmp_path, image)
    read(store, tmp_path, image, REFUSAL)
    assert read(store, tmp_path, next_study(image, 365)).result.earlier is None


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "ANOTHER"},
        {"IssuerOfPatientID": "ANOTHER"},
        {"PatientBirthDate": "20100101"},
        {"PatientBirthDate": ""},
        {"PatientID": ""},
        {"PatientSex": "F"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_patients_studies_are_not(
    store: Store, tmp_path: Path, image: Dataset, changes: dict[str, str]
) -> None:
    read(store, tmp_path, image)
    later = next_study(image, 365)
    for keyword, value in changes.items():
        setattr(later, keyword, value)
    answer = replace(BOY, sex=Sex.FEMALE) if "PatientSex" in changes else BOY
    assert read(store, tmp_path, later, answer).result.earlier is None


@pytest.mark.parametrize("keyword", ["PatientID", "PatientBirthDate"])
def test_a_patient_who_is_not_known_has_no_earlier_studies(
    store: Store, tmp_path: Path, image: Dataset, keyword: str
) -> None:
    setattr(image, keyword, "")
    read(store, tmp_path, image)
    assert read(store, tmp_path, next_study(image, 365)).result.earlier is None
