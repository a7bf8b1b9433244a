"""C-FIND and C-MOVE SCU: query a PACS and have it send, in the Study Root model.

Source: DICOM PS3.4 Annex C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydicom import uid
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller, Waits
from boneage_node.traffic.query import FoundSeries, FoundStudy, QueryFailed, StudyQuery
from boneage_node.traffic.uid import is_uid

from .contexts import UNCOMPRESSED
from .wire.association import open_association

FIND: uid.UID = StudyRootQueryRetrieveInformationModelFind
MOVE: uid.UID = StudyRootQueryRetrieveInformationModelMove
MAX_MATCHES = 200
"""More than that is not what was meant."""

STUDY_KEYS = ("StudyInstanceUID", "StudyDate", "AccessionNumber", "PatientID")
SERIES_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "Modality")
"""Keys that are requested at either level; study and accession number are also matched by."""

_SUCCESS, _CANCELLED, _SOME_FAILED, _PENDING = 0x0000, 0xFE00, 0xB000, (0xFF00, 0xFF01)
_MOVE_DESTINATION_UNKNOWN, _SUB_OPERATIONS_IMPOSSIBLE = 0xA801, 0xA702


@dataclass(frozen=True)
class SubOperations:
    """Progress of a C-MOVE: numbers of instances, as far as the PACS tells them.

    Attributes:
        remaining: Still to be sent.
        completed: Sent, with or without a warning.
        failed: Not sent.
    """

    remaining: int
    completed: int
    failed: int


class Pacs:
    """A PACS that is asked over DICOM associations, one for each question.

    Args:
        station: The PACS.
        caller: How the node calls.
    """

    def __init__(self, station: Station, caller: Caller) -> None:
        self._station = station
        self._caller = caller

    def studies(self, query: StudyQuery) -> list[FoundStudy]:
        """The studies that match.

        Raises:
            Unreachable: There is no association.
            QueryFailed: The PACS refuses the question, or finds more than `MAX_MATCHES`.
        """
        wanted = dict.fromkeys(STUDY_KEYS, "")
        return [
            FoundStudy(_text(match, "StudyInstanceUID"), _text(match, "StudyDate"), _text(match, "PatientID"))
            for match in self._find("STUDY", wanted | query.keys)
            if query.matches(_text(match, "AccessionNumber"), _text(match, "StudyInstanceUID"))
            and is_uid(_text(match, "StudyInstanceUID"))
        ]

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """The series of a study.

        Raises:
            Unreachable: There is no association.
            QueryFailed: The PACS refuses the question, or finds more than `MAX_MATCHES`.
        """
        wanted = dict.fromkeys(SERIES_KEYS, "") | {"StudyInstanceUID": study_instance_uid}
        return [
            FoundSeries(_text(match, "SeriesInstanceUID"), _text(match, "Modality"))
            for match in self._find("SERIES", wanted)
            if is_uid(_text(match, "SeriesInstanceUID"))
        ]

    def move(
        self, study_instance_uid: str, series_instance_uids: Sequence[str], to_ae_title: str
    ) -> Iterator[SubOperations]:
        """Have series of a study sent, all by one request, so that they can come over one association.

        Args:
            study_instance_uid: The study.
            series_instance_uids: Its series; empty for all of them.
            to_ae_title: AE title of the station to send them to, which the PACS must know.

        Yields:
            How far it has come; the last one is the end.

        Raises:
            Unreachable: There is no association.
            QueryFailed: The PACS does not send them, or not all of them.
        """
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "SERIES" if series_instance_uids else "STUDY"
        identifier.StudyInstanceUID = study_instance_uid
        if series_instance_uids:
            identifier.SeriesInstanceUID = list(series_instance_uids)
        with self._asking(MOVE, "C-MOVE", self._caller.waits.retrieving) as association:
            for status, _ in association.send_c_move(identifier, to_ae_title, MOVE):
                code = self._status(status, "C-MOVE")
                progress = SubOperations(
                    remaining=status.get("NumberOfRemainingSuboperations") or 0,
                    completed=(status.get("NumberOfCompletedSuboperations") or 0)
                    + (status.get("NumberOfWarningSuboperations") or 0),
                    failed=status.get("NumberOfFailedSuboperations") or 0,
                )
                if code not in (_SUCCESS, *_PENDING):
                    raise QueryFailed(self._move_problem(code, progress, to_ae_title))
                yield progress

    def _find(self, level: str, keys: dict[str, str]) -> list[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
        matches: list[Dataset] = []
        with self._asking(FIND, "C-FIND", self._caller.waits) as association:
            for status, match in association.send_c_find(identifier, FIND):
                code = self._status(status, "C-FIND")
                if code in _PENDING and match is not None:
                    matches.append(match)
                elif code not in (_SUCCESS, *_PENDING):
                    raise QueryFailed(f"{self._station} refuses the query: {_meaning(code)}.")
                if len(matches) > MAX_MATCHES:
                    raise QueryFailed(
                        f"{self._station} finds more than {MAX_MATCHES} matches: ask for fewer."
                    )
        return matches

    @contextmanager
    def _asking(self, sop_class: uid.UID, what: str, waits: Waits) -> Iterator[Association]:
        contexts = [build_context(sop_class, list(UNCOMPRESSED))]
        with open_association(self._station, replace(self._caller, waits=waits), contexts) as association:
            if not association.accepted_contexts:
                raise QueryFailed(
                    f"{self._station} takes the association but no {what} from {self._caller.ae_title}: "
                    "allow this station to query and retrieve there."
                )
            yield association

    def _status(self, status: Dataset, what: str) -> int:
        if "Status" not in status:
            raise QueryFailed(
                f"{self._station} broke the {what} off, or did not answer in time: check that it lets "
                f"{self._caller.ae_title} query and retrieve, and look into its log."
            )
        return int(status.Status)

    def _move_problem(self, code: int, progress: SubOperations, to_ae_title: str) -> str:
        if code == _MOVE_DESTINATION_UNKNOWN:
            return (
                f"{self._station} does not know where {to_ae_title} is: add this node there as a station, "
                f"with its AE title {to_ae_title}, host and port."
            )
        if code == _SUB_OPERATIONS_IMPOSSIBLE or (code == _SOME_FAILED and not progress.completed):
            return (
                f"{self._station} could not send to {to_ae_title}: check the host and port that it has for "
                "this node, and that the node lets it in (allowed_ae_titles, allowed_addresses)."
            )
        if 0xC000 <= code <= 0xCFFF:  # Orthanc says it for any destination that it cannot send to
            return (
                f"{self._station} cannot process the request (status 0x{code:04X}): check that it has this "
                f"node as a station, with its AE title {to_ae_title}, host and port, and look into its log."
            )
        if code == _SOME_FAILED:
            return f"{self._station} could not send {progress.failed} of the images: look into its log."
        return f"{self._station} refuses to send: {_meaning(code)}."


def _text(match: Dataset, keyword: str) -> str:
    return str(match.get(keyword) or "").strip(" \0")


def _meaning(code: int) -> str:
    if 0xC000 <= code <= 0xCFFF:
        words = "it cannot process the request; look into its log"
    else:
        words = {
            0x0122: "it does not support this kind of query",
            0x0124: "it does not authorise this AE title to query and retrieve; allow it there",
            0xA700: "it is out of resources; try again later",
            0xA701: "it is out of resources; try again later",
            0xA900: "it does not understand the request",
            _CANCELLED: "it was cancelled there",
        }.get(code, "it gives no reason that is known here")
    return f"{words} (status 0x{code:04X})"
