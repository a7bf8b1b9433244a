"""C-FIND and C-MOVE with a PACS that answers what a test tells it to."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from support.dimse import element
from support.scripted_pacs import FindAnswer, MoveAnswer, ScriptedPacs, scripted_pacs

from boneage_node.dimse.query_scu import FIND, Pacs, SubOperations
from boneage_node.exchange.fetching import plan_studies
from boneage_node.exchange.query_retrieve import QueryRetrieve
from boneage_node.net.calling import Caller
from boneage_node.traffic.query import (
    MAX_MATCHES,
    FoundSeries,
    FoundStudy,
    QueryFailed,
    QueryNotSupported,
    StudyQuery,
)

CALLER = Caller("BONEAGE")
A1 = StudyQuery(accession_number="A1")
DONE: FindAnswer = (0x0000, None)


def match(status: int = 0xFF00, **elements: Any) -> FindAnswer:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return status, found


def study(uid: str, accession: str = "A1", patient: str = "P1", **elements: Any) -> FindAnswer:
    return match(
        StudyInstanceUID=uid, AccessionNumber=accession, PatientID=patient, StudyDate="20240315", **elements
    )


def studies(pacs: ScriptedPacs, query: StudyQuery = A1) -> list[str]:
    found = QueryRetrieve(pacs.station).studies(query, CALLER).found
    return [one.study_instance_uid for one in found]


def move(pacs: ScriptedPacs, *series: str) -> list[SubOperations]:
    return list(Pacs(pacs.station, CALLER).move("1.2.3", series, "BONEAGE"))


def test_studies_and_series_are_asked_for_by_their_keys() -> None:
    with scripted_pacs([study("1.2.3"), DONE]) as pacs:
        source = QueryRetrieve(pacs.station)
        assert source.studies(A1, CALLER).found == (FoundStudy("1.2.3", "20240315", "P1"),)
    of_series = match(SeriesInstanceUID="1.2.4", Modality="DX", NumberOfSeriesRelatedInstances="3")
    with scripted_pacs([of_series, DONE]) as other:
        source = QueryRetrieve(other.station)
        assert source.series("1.2.3", CALLER).found == (FoundSeries("1.2.4", "DX", 3),)
    (by_accession,), (by_study,) = pacs.asked, other.asked
    assert (by_accession.QueryRetrieveLevel, by_accession.AccessionNumber) == ("STUDY", "A1")
    assert (by_study.QueryRetrieveLevel, by_study.StudyInstanceUID) == ("SERIES", "1.2.3")
    assert "PatientName" not in by_accession
    assert "SpecificCharacterSet" not in by_accession


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_pacs_that_answers_with_everything_is_not_believed() -> None:
    """Some ignore matching keys that they do not know; and a UID goes into requests as it came."""
    answers = [study("1.2.3", "B2"), study("1.2.4"), study("1.2.4"), study("../etc"), study("")]
    with scripted_pacs([*answers, DONE]) as pacs:
        assert studies(pacs) == ["1.2.4"]
        assert studies(pacs, StudyQuery(study_instance_uid="1.2.3")) == ["1.2.3"]
    series = [
        match(SeriesInstanceUID=f"1.2.3.{n}", StudyInstanceUID=n, Modality="DX") for n in ("1.2", "1.3")
    ]
    with scripted_pacs([*series, DONE]) as pacs:
        found = QueryRetrieve(pacs.station).series("1.3", CALLER).found
        assert [one.series_instance_uid for one in found] == ["1.2.3.1.3"]


def test_a_number_with_a_star_in_it_finds_itself_alone() -> None:
    """To a PACS it is a wildcard; on bar codes of Code 39 it stands at both ends."""
    with scripted_pacs([study("1.2.3", "*A1*"), study("1.2.4", "XA1X"), study("1.2.5", "A1"), DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number="*A1*")) == ["1.2.3"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (study("1.2.3", "a1"), "in other letters, small or capital"),
        (study("1.2.3", ""), "does not tell their accession numbers"),
        (study(""), "does not tell its Study Instance UID: give it with --study"),
    ],
)
def test_what_is_found_and_cannot_be_taken_is_said(answer: FindAnswer, sentence: str) -> None:
    with scripted_pacs([answer, DONE]) as pacs, pytest.raises(QueryFailed, match=sentence):
        studies(pacs)


def test_a_number_beyond_ascii_is_asked_for_in_utf_8() -> None:
    with scripted_pacs([study("1.2.3", "MÜ-7", SpecificCharacterSet="ISO_IR 192"), DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number="MÜ-7")) == ["1.2.3"]
    (asked,) = pacs.asked
    assert (asked.SpecificCharacterSet, asked.AccessionNumber) == ("ISO_IR 192", "MÜ-7")


@pytest.mark.parametrize("answer", [DONE, (0xA900, None)])
def test_a_pacs_that_knows_no_utf_8_is_asked_for_the_other_letters(answer: FindAnswer) -> None:
    def find(asked: Dataset) -> list[FindAnswer]:
        if "SpecificCharacterSet" in asked:
            return [answer]
        latin = {"SpecificCharacterSet": "ISO_IR 100"}
        return [study("1.2.3", "MÜ-7", **latin), study("1.2.4", "MÖ-7", **latin), study("1.2.5", "M-7"), DONE]

    with scripted_pacs(find) as pacs:
        assert studies(pacs, StudyQuery(accession_number="MÜ-7")) == ["1.2.3"]
        with pytest.raises(QueryFailed, match="no such study"):
            plan_studies(QueryRetrieve(pacs.station), StudyQuery(accession_number="MÄ-7"), CALLER)
    assert pacs.asked[1].AccessionNumber == "M*-7"


def test_what_has_no_letter_but_such_is_not_asked_for_as_everything() -> None:
    with scripted_pacs([DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number="山")) == []
    assert len(pacs.asked) == 1


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        ("Ł-1", "Ł-1".encode("iso8859_2")),
        ("Я-1", "Я-1".encode("iso8859_5")),
        ("Я-1", "Я-1".encode()),
        ("山-1", b"\x1b$B;3\x1b(B-1"),
        ("设-1", "设-1".encode("gb18030")),
    ],
)
def test_a_pacs_that_does_not_say_its_character_set_is_understood(number: str, sent: bytes) -> None:
    found = element(0x0008, 0x0050, sent) + element(0x0020, 0x000D, b"1.2.3")
    with scripted_pacs([(0xFF00, found), DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number=number)) == ["1.2.3"]
        assert studies(pacs, StudyQuery(accession_number="Ж-1")) == []


def test_a_pacs_that_says_its_character_set_is_believed() -> None:
    """The same bytes are a number with Ü in one, with another letter in the other."""
    found = element(0x0008, 0x0050, b"M\xdc-7") + element(0x0020, 0x000D, b"1.2.3")
    with scripted_pacs([(0xFF00, element(0x0008, 0x0005, b"ISO_IR 144") + found), DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number="MÜ-7")) == []
        assert studies(pacs, StudyQuery(accession_number="Mм-7")) == ["1.2.3"]


def test_a_number_in_another_form_of_unicode_is_the_same() -> None:
    with scripted_pacs([study("1.2.3", "Mu\u0308", SpecificCharacterSet="ISO_IR 192"), DONE]) as pacs:
        assert studies(pacs, StudyQuery(accession_number="M\u00fc")) == ["1.2.3"]


def test_a_match_with_a_warning_about_optional_keys_counts() -> None:
    with scripted_pacs([(0xFF01, study("1.2.3")[1]), DONE]) as pacs:
        assert studies(pacs) == ["1.2.3"]


@pytest.mark.parametrize("end", [(0xFE00, None), (0xA700, None), (0xFF00, b"\1"), None])
def test_what_came_before_a_pacs_gave_up_is_kept_and_told_to_be_a_part(end: FindAnswer | None) -> None:
    answers = [study("1.2.3"), *([end] if end else [])]
    if end and end[0] == 0xFF00:  # a match that cannot be decoded
        answers.append(DONE)
    with scripted_pacs(answers) as pacs:
        told = QueryRetrieve(pacs.station).studies(A1, CALLER)
    assert [one.study_instance_uid for one in told.found] == ["1.2.3"]
    assert told.missing


def test_too_many_matches_are_not_waited_for() -> None:
    with (
        scripted_pacs([study(f"1.2.{number}") for number in range(MAX_MATCHES + 50)]) as pacs,
        pytest.raises(QueryFailed, match=f"more than {MAX_MATCHES} matches"),
    ):
        studies(pacs)


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
    with scripted_pacs([(status, None)]) as pacs, pytest.raises(QueryFailed) as caught:
        studies(pacs)
    assert sentence in str(caught.value)


def test_studies_of_which_nobody_says_whose_they_are_are_not_fetched() -> None:
    with scripted_pacs([study("1.2.3", patient=""), study("1.2.4", patient=""), DONE]) as pacs:
        source = QueryRetrieve(pacs.station)
        with pytest.raises(QueryFailed, match="does not say whose they are"):
            plan_studies(source, A1, CALLER)
    with scripted_pacs([study("1.2.3", patient="P1"), study("1.2.3", patient="P2"), DONE]) as pacs:
        source = QueryRetrieve(pacs.station)
        with pytest.raises(QueryFailed, match="of several patients"):
            plan_studies(source, A1, CALLER)


@pytest.mark.parametrize("answer", [[DONE], [(0xA900, None)], [(0xC000, None)], [(0x0122, None)]])
def test_of_a_pacs_that_answers_for_studies_alone_the_whole_study_is_fetched(
    answer: list[FindAnswer],
) -> None:
    def find(asked: Dataset) -> list[FindAnswer]:
        return [study("1.2.3"), DONE] if asked.QueryRetrieveLevel == "STUDY" else answer

    with scripted_pacs(find) as pacs:
        (plan,) = plan_studies(QueryRetrieve(pacs.station), A1, CALLER)
    assert plan.wanted is None
    assert plan.images is None


def test_a_series_query_that_fails_for_another_reason_is_not_taken_for_that() -> None:
    def find(asked: Dataset) -> list[FindAnswer]:
        return [study("1.2.3"), DONE] if asked.QueryRetrieveLevel == "STUDY" else [(0xA700, None)]

    with scripted_pacs(find) as pacs, pytest.raises(QueryFailed) as caught:
        plan_studies(QueryRetrieve(pacs.station), A1, CALLER)
    assert not isinstance(caught.value, QueryNotSupported)


def test_a_station_without_retrieval_says_so() -> None:
    with (
        scripted_pacs(sop_classes=[FIND]) as pacs,
        pytest.raises(QueryFailed, match="no C-MOVE from BONEAGE"),
    ):
        move(pacs)


def test_series_are_moved_by_one_request() -> None:
    with scripted_pacs(move=[MoveAnswer(0x0000)]) as pacs:
        move(pacs, "1.2.4", "1.2.5")
        move(pacs)
    some, whole = pacs.asked
    assert pacs.destinations == ["BONEAGE", "BONEAGE"]
    assert (some.QueryRetrieveLevel, list(some.SeriesInstanceUID)) == ("SERIES", ["1.2.4", "1.2.5"])
    assert (whole.QueryRetrieveLevel, "SeriesInstanceUID" in whole) == ("STUDY", False)


def pending(**numbers: int) -> MoveAnswer:
    return MoveAnswer(0xFF00, numbers)


@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ([MoveAnswer(0x0000, {"Completed": 2, "Failed": 0})], {"completed": 2, "failed": 0}),
        ([pending(Remaining=1, Completed=1, Failed=0), MoveAnswer(0x0000)], {"completed": 2, "failed": 0}),
        ([pending(Completed=1), pending(Completed=2), MoveAnswer(0x0000)], {"completed": 2, "failed": None}),
        ([MoveAnswer(0x0000)], {"completed": None, "failed": None}),
        ([MoveAnswer(0xB000, {"Warning": 2, "Failed": 0})], {"completed": 2, "failed": 0}),
        ([pending(Remaining=0, Warning=1, Failed=0), MoveAnswer(0xB000)], {"completed": 1, "failed": 0}),
        ([MoveAnswer(0xB000)], {"completed": None, "failed": None, "doubtful": True}),
        ([pending(Remaining=1, Failed=0), MoveAnswer(0xB000)], {"failed": 0, "doubtful": True}),
    ],
)
def test_numbers_that_a_pacs_leaves_out_are_none_and_warnings_are_no_failures(
    answers: list[MoveAnswer], end: dict[str, Any]
) -> None:
    with scripted_pacs(move=answers) as pacs:
        assert move(pacs)[-1] == SubOperations(remaining=0, **end)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (MoveAnswer(0xA801), "does not know where BONEAGE is: add this node there as a station"),
        (MoveAnswer(0xA702), "could not send to BONEAGE: check the host and port"),
        (MoveAnswer(0xB000, {"Completed": 0, "Failed": 2}), "could not send to BONEAGE: check the host and"),
        (MoveAnswer(0xB000, {"Completed": 1, "Failed": 2}), "could not send 2 of the images"),
        (MoveAnswer(0xB000, {"Completed": 1}, failed=["1.2.8"]), "could not send 1 of the images"),
        (MoveAnswer(0xC123), "check that it has this node as a station"),
        (MoveAnswer(0xA701), "out of resources"),
        (MoveAnswer(0xFE00, {"Completed": 1}), "cancelled"),
        (pending(Completed=1), "broke the C-MOVE off"),
    ],
)
def test_a_move_that_fails_says_what_mends_it_and_what_it_has_done(answer: MoveAnswer, sentence: str) -> None:
    with scripted_pacs(move=[answer]) as pacs:
        *_, end = move(pacs)
    assert sentence in end.problem
    assert end.completed == answer.numbers.get("Completed")
