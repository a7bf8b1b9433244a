"""C-FIND and C-MOVE with a PACS that answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from support.dimse import CR, make_radiograph

from boneage_node.dimse.query_scu import FIND, MAX_MATCHES, MOVE, Pacs, SubOperations
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery

Answers = list[tuple[int, Dataset | None]]


def match(**elements: str) -> tuple[int, Dataset]:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return 0xFF00, found


def study(uid: str, accession: str = "A1", patient: str = "P1") -> tuple[int, Dataset]:
    return match(StudyInstanceUID=uid, AccessionNumber=accession, PatientID=patient, StudyDate="20240315")


@contextmanager
def pacs(handler: Callable[[Any], Iterator[Any]], event: Any, sop_class: str) -> Iterator[Pacs]:
    ae = AE(ae_title="PACS")
    ae.add_supported_context(sop_class)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(event, handler)])
    try:
        yield Pacs(Station("PACS", "127.0.0.1", server.server_address[1]), Caller("BONEAGE"))
    finally:
        server.shutdown()


@contextmanager
def finding(answers: Answers, asked: list[Dataset] | None = None) -> Iterator[Pacs]:
    """A PACS that answers every C-FIND with these."""

    def answer(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if asked is not None:
            asked.append(event.identifier)
        yield from answers

    with pacs(answer, evt.EVT_C_FIND, FIND) as one:
        yield one


@contextmanager
def moving(status: int, completed: int, failed: int, asked: list[tuple[str, Dataset]]) -> Iterator[Pacs]:
    """A PACS that ends every C-MOVE like this; the images go to a station that takes some of them."""

    def stored(event: Any) -> int:
        return next(answers)

    answers = iter([0x0000] * completed + [0xC000] * failed)
    station = AE(ae_title="BONEAGE")
    station.add_supported_context(CR)
    server = station.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, stored)])

    def answer(event: Any) -> Iterator[Any]:
        asked.append((event.move_destination, event.identifier))
        if status == 0xA801:
            yield None, None
            return
        yield "127.0.0.1", server.server_address[1], {"contexts": station.supported_contexts}
        if status not in (0x0000, 0xB000):
            yield 1
            yield status, Dataset()
            return
        yield completed + failed
        for _ in range(completed + failed):
            image = make_radiograph()
            image.file_meta = FileMetaDataset()
            image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            yield 0xFF00, image

    try:
        with pacs(answer, evt.EVT_C_MOVE, MOVE) as one:
            yield one
    finally:
        server.shutdown()


def test_studies_and_series_are_asked_for_by_their_keys() -> None:
    asked: list[Dataset] = []
    with finding([study("1.2.3"), (0x0000, None)], asked) as one:
        assert one.studies(StudyQuery(accession_number="A1")) == [FoundStudy("1.2.3", "20240315", "P1")]
    with finding([match(SeriesInstanceUID="1.2.4", Modality="DX"), (0x0000, None)], asked) as one:
        assert one.series("1.2.3") == [FoundSeries("1.2.4", "DX")]
    by_accession, by_study = asked
    assert (by_accession.QueryRetrieveLevel, by_accession.AccessionNumber) == ("STUDY", "A1")
    assert (by_study.QueryRetrieveLevel, by_study.StudyInstanceUID) == ("SERIES", "1.2.3")
    assert "PatientName" not in by_accession


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_pacs_that_answers_with_everything_is_not_believed() -> None:
    """Some ignore matching keys that they do not know; and a UID goes into requests as it came."""
    answers = [study("1.2.3", "B2"), study("1.2.4", "a1"), study("../etc", "A1"), study("", "A1")]
    with finding([*answers, (0x0000, None)]) as one:
        found = one.studies(StudyQuery(accession_number="A1"))
        assert [one.study_instance_uid for one in found] == ["1.2.4"]
        found = one.studies(StudyQuery(study_instance_uid="1.2.3"))
        assert [one.study_instance_uid for one in found] == ["1.2.3"]


def test_too_many_matches_are_not_waited_for() -> None:
    with (
        finding([study(f"1.2.{number}") for number in range(MAX_MATCHES + 50)]) as one,
        pytest.raises(QueryFailed, match=f"more than {MAX_MATCHES} matches"),
    ):
        one.studies(StudyQuery(accession_number="A1"))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (0xA700, "out of resources"),
        (0xA900, "does not understand"),
        (0xC001, "cannot process the request; look into its log (status 0xC001)"),
        (0x0124, "does not authorise this AE title"),
        (0xFE00, "cancelled"),
    ],
)
def test_a_query_that_is_refused_is_said_in_a_sentence(status: int, sentence: str) -> None:
    with finding([(status, None)]) as one, pytest.raises(QueryFailed) as caught:
        one.studies(StudyQuery(accession_number="A1"))
    assert sentence in str(caught.value)


def test_a_station_without_query_says_so() -> None:
    with finding([]) as one, pytest.raises(QueryFailed, match="no C-MOVE from BONEAGE: allow"):
        list(one.move("1.2.3", [], "BONEAGE"))


def test_series_are_moved_by_one_request_and_counted() -> None:
    asked: list[tuple[str, Dataset]] = []
    with moving(0x0000, 2, 0, asked) as one:
        progress = list(one.move("1.2.3", ["1.2.4", "1.2.5"], "BONEAGE"))
        assert progress[-1] == SubOperations(remaining=0, completed=2, failed=0)
        assert SubOperations(remaining=1, completed=1, failed=0) in progress
    with moving(0x0000, 1, 0, asked) as one:
        list(one.move("1.2.3", [], "BONEAGE"))
    (destination, some), (_, whole) = asked
    assert destination.strip() == "BONEAGE"
    assert (some.QueryRetrieveLevel, list(some.SeriesInstanceUID)) == ("SERIES", ["1.2.4", "1.2.5"])
    assert (whole.QueryRetrieveLevel, "SeriesInstanceUID" in whole) == ("STUDY", False)


@pytest.mark.parametrize(
    ("status", "completed", "failed", "sentence"),
    [
        (0xA801, 0, 0, "does not know where BONEAGE is: add this node there as a station"),
        (0xA702, 0, 0, "could not send to BONEAGE: check the host and port"),
        (0xB000, 0, 2, "could not send to BONEAGE: check the host and port"),
        (0xB000, 1, 2, "could not send 2 of the images"),
        (0xC123, 0, 0, "check that it has this node as a station"),
        (0xA701, 0, 0, "out of resources"),
    ],
)
def test_a_move_that_fails_says_what_mends_it(
    status: int, completed: int, failed: int, sentence: str
) -> None:
    with moving(status, completed, failed, []) as one, pytest.raises(QueryFailed) as caught:
        list(one.move("1.2.3", [], "BONEAGE"))
    assert sentence in str(caught.value)
