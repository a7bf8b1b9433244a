"""What a PACS puts right is put right here: a reading counts for a child only while it is the child's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEGLSLossless
from support.dimse import set_attributes
from support.report import ASSESSMENT
from support.store import Clock, attempts, open_migrated, receive

from boneage_node.exchange.settings import DeliverySettings
from boneage_node.radiograph import choose_hand_image
from boneage_node.reading.reporter import Reporter
from boneage_node.reading.settings import ReportSettings
from boneage_node.spool import FolderSpool
from boneage_node.store import NoSuchStudy, Store, StudyDetail, StudyState
from boneage_node.traffic.document import DocumentForm

Image = Callable[..., Dataset]
PACS = "PACS@pacs:104"
READING = replace(ASSESSMENT, outline_px=ASSESSMENT.outline_px / 20)  # in the small images of these tests


class Node:
    """A node whose networks always read the age that is written in the image's SeriesDescription."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self._clock = store, clock
        self._reporter = Reporter(
            ReportSettings(), store, "BONEAGE", DeliverySettings(send_to=[PACS]).by_form()
        )

    def receive(self, *images: Dataset) -> None:
        """Take in images as one association of a modality brings them."""
        studies = set()
        for image in images:
            file = BytesIO()
            image.save_as(file, enforce_file_format=True)
            uids = {"study": str(image.StudyInstanceUID), "instance": str(image.SOPInstanceUID)}
            studies.add(receive(self.store, **uids, data=file.getvalue()).study_id)
        self.store.intake.settle_in(studies, 0)

    def read(self, *images: Dataset) -> None:
        """Take in images, and read until nothing is left to be read."""
        self.receive(*images)
        self._clock.go_on(11)
        self.store.intake.settle()
        while jobs := self.store.queue.claim("worker-1", 1, 60, attempts()):
            (job,) = jobs
            choice = choose_hand_image([instance.file for instance in job.instances])
            answer = choice.refusal
            if answer is None:
                assert choice.radiograph is not None
                assert choice.dataset is not None
                months = float(choice.dataset.SeriesDescription)
                sex = choice.radiograph.hand.sex
                answer = replace(READING, bone_age_months=months, sex=sex, months_by_sex={sex: months})
            report = self._reporter.report(job, choice, answer)
            self.store.queue.complete(job, "worker-1", [report])

    def study(self, image: Dataset) -> StudyDetail:
        """The study of an image."""
        return self.store.studies.show(str(image.StudyInstanceUID))

    def told(self, image: Dataset) -> Mapping[str, float]:
        """The earlier readings that the newest report on an image's study tells of, by date."""
        earlier = self.study(image).reports[-1].result.earlier
        return {each.study_date: each.bone_age_months for each in earlier.readings} if earlier else {}


@pytest.fixture
def node(store: Store, clock: Clock) -> Node:
    return Node(store, clock)


@pytest.fixture
def image(make_image: Image) -> Image:
    """A hand of a child on a day, on which the networks read so many months."""

    def make(patient: str, year: int, months: float, **attributes: object) -> Dataset:
        uid = f"2.25.{year}"
        same = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "SOPInstanceUID": f"{uid}.1.1"}
        made = make_image(**{**same, "PatientID": patient, "StudyDate": f"{year}0101", **attributes})
        made.SeriesDescription = str(months)
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        return made

    return make


def corrected(image: Dataset, **attributes: object) -> Dataset:
    """The image as a PACS sends it again after something in it was put right."""
    return set_attributes(deepcopy(image), **attributes)


def test_another_childs_reading_leaves_the_course_when_the_patient_is_put_right(
    node: Node, image: Image
) -> None:
    wrong, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(wrong)
    node.read(corrected(wrong, PatientID="B"))
    node.read(later)
    assert node.told(later) == {}
    of_b = image("B", 2020, 110.0)
    node.read(of_b)
    assert node.told(of_b) == {"2018-01-01": 90.0}


def test_what_was_told_before_the_correction_is_told_anew(node: Node, image: Image) -> None:
    wrong, later, of_b = image("A", 2018, 90.0), image("A", 2019, 100.0), image("B", 2020, 110.0)
    for each in (wrong, later, of_b):
        node.read(each)
    assert node.told(later) == {"2018-01-01": 90.0}
    node.read(corrected(wrong, PatientID="B"))
    assert node.told(later) == {}
    _, second = node.study(later).reports
    assert second.documents, "it is sent"
    assert "course-outdated" in [event.kind for event in node.study(later).events]
    assert len(node.study(of_b).reports) == 1, "it told nothing wrong, and what comes late is not told anew"
    node.read(wrong)  # and back, with the very bytes of before
    assert node.told(later) == {"2018-01-01": 90.0}


@pytest.mark.parametrize(
    "attributes",
    [{"PatientSex": "M"}, {"PatientBirthDate": "20110101"}, {"PatientSex": None}],
    ids=["sex", "birth date", "refused"],
)
def test_an_earlier_reading_that_was_put_right_in_its_own_study_is_told_no_more(
    node: Node, image: Image, attributes: dict[str, str]
) -> None:
    early, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(early)
    node.read(later)
    node.read(corrected(early, **attributes))
    assert node.told(later) == {}


def test_another_reading_of_an_earlier_study_is_told_in_the_later_ones(node: Node, image: Image) -> None:
    early, later, last = image("A", 2017, 80.0), image("A", 2018, 90.0), image("A", 2019, 100.0)
    for each in (early, later, last):
        node.read(each)
    node.read(corrected(early, SeriesDescription="84.0", StudyDescription="another bone age"))
    assert node.told(last) == {"2017-01-01": 84.0, "2018-01-01": 90.0}
    assert [len(node.study(each).reports) for each in (early, later, last)] == [2, 2, 2]


def test_an_image_that_moved_to_another_study_counts_there_alone(node: Node, image: Image) -> None:
    moved, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(moved)
    there = corrected(moved, StudyInstanceUID="2.25.77", PatientID="B")
    node.read(there)
    node.read(later)
    assert node.told(later) == {}
    left = node.study(moved)
    assert (left.state, left.reports[-1].result.reason) == (StudyState.REFUSED, "nothing-to-read")
    assert left.reports[-1].documents == []
    assert "instance-moved" in [event.kind for event in left.events]
    of_b = image("B", 2020, 110.0)
    node.read(of_b)
    assert node.told(of_b) == {"2018-01-01": 90.0}


def test_an_image_that_moved_under_an_older_version_counts_where_it_is_now(node: Node, image: Image) -> None:
    """That left the study it was in as it was: reported."""
    moved, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(moved)
    node.receive(corrected(moved, StudyInstanceUID="2.25.77", PatientID="B"))
    with node.store.engine.begin() as connection:
        left = "SET state = 'reported', settle_at = NULL WHERE study_instance_uid = '2.25.2018'"
        connection.exec_driver_sql(f"UPDATE studies {left}")
    node.read(later)
    assert node.told(later) == {}


def test_what_is_left_of_a_study_is_read_without_the_image_that_moved(node: Node, image: Image) -> None:
    left, right = image("A", 2018, 90.0), image("A", 2018, 95.0, SOPInstanceUID="2.25.5", ImageLaterality="R")
    node.read(left, right)
    assert node.study(left).reports[-1].result.bone_age_months == 90.0
    node.read(corrected(left, StudyInstanceUID="2.25.77", PatientID="B"))
    assert node.study(left).reports[-1].result.bone_age_months == 95.0


def test_a_study_on_its_way_again_does_not_count_until_it_is_read(node: Node, image: Image) -> None:
    early, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(early)
    node.receive(later)
    node.store.intake.settle()
    # Its correction is here and not yet read: what it will say is not known.
    uids = {"study": str(early.StudyInstanceUID), "instance": str(early.SOPInstanceUID)}
    receive(node.store, **uids, data=b"corrected", quiet_seconds=60)
    node.read()
    assert node.told(later) == {}


def test_what_was_on_its_way_is_told_once_it_is_back(node: Node, image: Image) -> None:
    early, later = image("A", 2018, 90.0), image("A", 2019, 100.0)
    node.read(early)
    node.receive(later)
    node.store.intake.settle()
    also = corrected(early, SOPInstanceUID="2.25.5", ImageLaterality="R")
    node.receive(also)
    node.read()
    assert node.told(later) == {"2018-01-01": 90.0}


def test_bytes_that_come_back_are_the_newest_again(node: Node, image: Image) -> None:
    original = image("A", 2018, 90.0)
    for each in (original, corrected(original, PatientSex="M"), original):
        node.read(each)
    assert [report.result.sex for report in node.study(original).reports] == ["F", "M", "F"]
    node.read(original)
    assert len(node.study(original).reports) == 3


def test_studies_that_come_late_make_no_later_one_anew(node: Node, image: Image) -> None:
    """Priors that are fetched after the present study, one by one, must not have it reported ten times."""
    later, early, earliest = image("A", 2019, 100.0), image("A", 2018, 90.0), image("A", 2017, 80.0)
    for each in (later, early, earliest):
        node.read(each)
    assert [len(node.study(each).reports) for each in (later, early, earliest)] == [1, 1, 1]


def test_one_image_in_other_bytes_is_reported_once(node: Node, image: Image) -> None:
    original = image("A", 2018, 90.0)
    implicit, compressed = deepcopy(original), deepcopy(original)
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    compressed.compress(JPEGLSLossless, generate_instance_uid=False)
    for same in (original, implicit, compressed, corrected(original, InstitutionName="Added on the way")):
        node.read(same)
    study = node.study(original)
    assert (len(study.instances), len(study.reports), len(study.deliveries)) == (4, 1, 2)
    for number, attributes in enumerate(
        [{"PatientName": "Right^Spelt"}, {"AccessionNumber": "A1"}, {"ImageLaterality": "R"}], start=2
    ):
        node.read(corrected(original, **attributes))
        assert len(node.study(original).reports) == number


def test_contradicting_images_are_refused_once_and_read_without_the_wrong_one(
    node: Node, image: Image
) -> None:
    wrong = image("A", 2018, 90.0, PatientSex="M")
    right = corrected(wrong, SOPInstanceUID="2.25.5", PatientSex="F")
    node.read(wrong)
    node.read(right)
    node.read(corrected(right, SOPInstanceUID="2.25.6"))
    study = node.study(wrong)
    assert [report.result.reason for report in study.reports] == [None, "contradicting-images"]
    assert study.reports[-1].documents
    node.store.studies.leave_out(study.id, study.instances[0].id)
    node.read()
    assert node.study(wrong).reports[-1].result.sex == "F"
    node.read(wrong)
    assert node.study(wrong).reports[-1].result.reason == "contradicting-images", "it has come again"
    with pytest.raises(NoSuchStudy):
        node.store.studies.leave_out(study.id, "2.25.404")


def test_what_the_node_made_is_not_read_when_it_comes_back(node: Node, image: Image) -> None:
    hand = image("A", 2018, 90.0)
    node.read(hand)
    node.read(made_of(node, hand))
    study = node.study(hand)
    assert (len(study.reports), len(study.jobs), study.state) == (1, 1, StudyState.REPORTED)
    assert study.events[-1].kind == "own-output-received"
    # The study has been given a new UID meanwhile: the picture alone is nothing to read there.
    node.read(corrected(made_of(node, hand), StudyInstanceUID="2.25.77"))
    moved = node.store.studies.show("2.25.77")
    assert (moved.state, moved.deliveries) == (StudyState.REFUSED, [])
    assert moved.reports[-1].result.reason == "nothing-to-read"


def test_what_another_node_made_is_noted_and_not_answered(
    node: Node, image: Image, tmp_path: Path, clock: Clock
) -> None:
    hand = image("A", 2018, 90.0)
    node.read(hand)
    engine = open_migrated(f"sqlite:///{tmp_path}/another.sqlite3")
    with Store(engine, FolderSpool(tmp_path / "another", reserve_bytes=0), clock) as store:
        fresh = Node(store, clock)
        fresh.read(made_of(node, hand))
        study = fresh.study(hand)
        assert (study.state, study.deliveries) == (StudyState.REFUSED, [])
        assert [report.result.reason for report in study.reports] == ["nothing-to-read"]
        fresh.read(corrected(made_of(node, hand), SOPInstanceUID="2.25.5"))
        assert len(fresh.study(hand).reports) == 1
        fresh.read(hand)
        assert fresh.study(hand).state == StudyState.REPORTED


def made_of(node: Node, image: Dataset) -> Dataset:
    """The picture that a node has made of an image, as a PACS sends it on."""
    document = node.study(image).reports[-1].document(DocumentForm.PICTURE)
    assert document is not None
    with document.file.open() as file:
        return dcmread(BytesIO(file.read()))
