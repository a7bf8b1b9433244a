"""C-FIND and C-MOVE SCU: query a PACS and have it send, in the Study Root model.

Source: DICOM PS3.4 Annex C.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

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
from boneage_node.traffic.query import (
    MAX_MATCHES,
    SERIES_KEYS,
    STUDY_KEYS,
    Level,
    QueryFailed,
    QueryNotSupported,
    Row,
    Rows,
    ask_again,
)

from .contexts import UNCOMPRESSED
from .matching_keys import identifier, row
from .wire.association import open_association

FIND: uid.UID = StudyRootQueryRetrieveInformationModelFind
MOVE: uid.UID = StudyRootQueryRetrieveInformationModelMove

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_SUCCESS, _CANCELLED, _WARNING, _PENDING = 0x0000, 0xFE00, 0xB000, (0xFF00, 0xFF01)
_SOP_CLASS_NOT_SUPPORTED, _IDENTIFIER_DOES_NOT_MATCH = 0x0122, 0xA900
_MOVE_DESTINATION_UNKNOWN, _SUB_OPERATIONS_IMPOSSIBLE = 0xA801, 0xA702


@dataclass(frozen=True)
class SubOperations:
    """Progress of a C-MOVE: numbers of instances, each None as long as the PACS has not told it.

    Attributes:
        remaining: Still to be sent.
        completed: Sent, with or without a warning.
        failed: Not sent.
        doubtful: It has ended with a warning, and the PACS does not say whether any has failed.
        problem: Why it has ended without all of them, in a sentence; empty as long as it has not.
    """

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    doubtful: bool = False
    problem: str = ""


class Pacs:
    """A PACS that is asked over DICOM associations, one for each question.

    Args:
        station: The PACS.
        caller: How the node calls.
    """

    def __init__(self, station: Station, caller: Caller) -> None:
        self._station = station
        self._caller = caller

    def find(self, level: Level, keys: Mapping[str, str]) -> Rows:
        """What the PACS says that it has.

        Where a key is not ASCII and nothing is found, it is asked for once more with ``*`` for those letters:
        not every PACS knows UTF-8.

        Args:
            level: Of studies, or of the series of the study that is among the keys.
            keys: The matching keys by keyword.

        Raises:
            Unreachable: There is no association.
            QueryNotSupported: The PACS knows no such query.
            QueryFailed: It refuses this one for another reason, or finds more than `MAX_MATCHES`.
        """
        return ask_again(keys, _NOT_ASCII, lambda asked: self._find(level, keys, asked))

    def move(
        self, study_instance_uid: str, series_instance_uids: Sequence[str], to_ae_title: str
    ) -> Iterator[SubOperations]:
        """Have series of a study sent, all by one request, so that they can come over one association.

        Args:
            study_instance_uid: The study.
            series_instance_uids: Its series; empty for all of them.
            to_ae_title: AE title of the station to send them to, which the PACS must know.

        Yields:
            How far it has come; the last one is the end, whatever that is.

        Raises:
            Unreachable: There is no association.
            QueryFailed: The PACS takes no C-MOVE.
        """
        request = Dataset()
        request.QueryRetrieveLevel = "SERIES" if series_instance_uids else "STUDY"
        request.StudyInstanceUID = study_instance_uid
        if series_instance_uids:
            request.SeriesInstanceUID = list(series_instance_uids)
        with self._asking(MOVE, "C-MOVE", self._caller.waits.retrieving) as association:
            progress = SubOperations()
            for status, failed in association.send_c_move(request, to_ae_title, MOVE):
                if "Status" not in status:
                    yield replace(progress, problem=self._broken_off("C-MOVE"))
                    return
                code = int(status.Status)
                told = _Told.of(status, failed)
                progress = told.added_to(progress) if code in _PENDING else told.ending(progress, code)
                if code not in (_SUCCESS, *_PENDING):
                    progress = replace(progress, problem=self._move_problem(code, progress, to_ae_title))
                yield progress

    def _find(self, level: Level, keys: Mapping[str, str], asked: Mapping[str, str]) -> Rows:
        """Ask for these values of the keys. Matches that came before the PACS gave up are kept."""
        returned = dict.fromkeys(STUDY_KEYS if level == "STUDY" else SERIES_KEYS, "")
        rows: list[Row] = []
        missing = ""
        with self._asking(FIND, "C-FIND", self._caller.waits) as association:
            request = identifier(level, returned | dict(asked))
            for status, match in association.send_c_find(request, FIND):
                code = status.get("Status")
                if code in _PENDING and match:
                    rows.append(row(match, returned | dict(keys)))
                elif code in _PENDING:
                    missing = f"{self._station} answers with a match that cannot be decoded."
                elif code != _SUCCESS:
                    missing = self._find_problem(code)
                    if not rows:
                        kind = QueryNotSupported if _is_of_the_kind(code) else QueryFailed
                        raise kind(missing)
                if len(rows) > MAX_MATCHES:
                    raise QueryFailed(
                        f"{self._station} finds more than {MAX_MATCHES} matches: ask for fewer."
                    )
        return Rows(rows, missing)

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

    def _broken_off(self, what: str) -> str:
        return (
            f"{self._station} broke the {what} off, or did not answer in time: check that it lets "
            f"{self._caller.ae_title} query and retrieve, and look into its log."
        )

    def _find_problem(self, code: int | None) -> str:
        if code is None:
            return self._broken_off("C-FIND")
        return f"{self._station} refuses the query: {_meaning(code)}."

    def _move_problem(self, code: int, progress: SubOperations, to_ae_title: str) -> str:
        """What a final status other than success means, empty where it is a warning that cost no image."""
        if code == _MOVE_DESTINATION_UNKNOWN:
            return (
                f"{self._station} does not know where {to_ae_title} is: add this node there as a station, "
                f"with its AE title {to_ae_title}, host and port."
            )
        if code == _WARNING and not progress.failed:
            return ""
        if code == _SUB_OPERATIONS_IMPOSSIBLE or (code == _WARNING and not progress.completed):
            return (
                f"{self._station} could not send to {to_ae_title}: check the host and port that it has for "
                "this node, and that the node lets it in (allowed_ae_titles, allowed_addresses)."
            )
        if 0xC000 <= code <= 0xCFFF:  # Orthanc says it for any destination that it cannot send to
            return (
                f"{self._station} cannot process the request (status 0x{code:04X}): check that it has this "
                f"node as a station, with its AE title {to_ae_title}, host and port, and look into its log."
            )
        if code == _WARNING:
            return f"{self._station} could not send {progress.failed} of the images: look into its log."
        return f"{self._station} refuses to send: {_meaning(code)}."


class _Told(NamedTuple):
    """Numbers in an answer to a C-MOVE; every one of them may be left out, and often is."""

    remaining: int | None
    completed: int | None
    failed: int | None

    @classmethod
    def of(cls, status: Dataset, failed_instances: Dataset | None) -> _Told:
        """The numbers of an answer, and of the list of what has failed."""
        sent = [status.get(f"NumberOf{how}Suboperations") for how in ("Completed", "Warning")]
        failed = status.get("NumberOfFailedSuboperations")
        if failed is None and failed_instances is not None:
            listed = failed_instances.get("FailedSOPInstanceUIDList")
            failed = None if not listed else 1 if isinstance(listed, str) else len(listed)
        return cls(
            status.get("NumberOfRemainingSuboperations"),
            None if sent == [None, None] else sum(filter(None, sent)),
            failed,
        )

    def added_to(self, before: SubOperations) -> SubOperations:
        """The progress with what is told now; what is not stays as it was."""
        return SubOperations(
            before.remaining if self.remaining is None else self.remaining,
            before.completed if self.completed is None else self.completed,
            before.failed if self.failed is None else self.failed,
        )

    def ending(self, before: SubOperations, code: int) -> SubOperations:
        """The end: what was still to be sent then has been, unless the status says that something failed."""
        after = self.added_to(before)
        if code == _SUCCESS and self.completed is None and before.completed is not None:
            after = replace(after, completed=before.completed + (before.remaining or 0))
        known = self.failed is not None or (before.failed is not None and before.remaining == 0)
        return replace(after, remaining=0, doubtful=code == _WARNING and not known)


def _is_of_the_kind(code: int | None) -> bool:
    """Whether a status says that the PACS does not take such a query, whatever is asked for."""
    return code is not None and (
        code in (_SOP_CLASS_NOT_SUPPORTED, _IDENTIFIER_DOES_NOT_MATCH) or 0xC000 <= code <= 0xCFFF
    )


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
