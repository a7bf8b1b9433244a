"""Fetching studies from a PACS into the running node.

Whatever the protocol, images enter by C-STORE through the node's receiver, so that its promises hold.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.net.listening import Listening
from boneage_node.net.tls import TlsFiles
from boneage_node.radiograph.eligibility import MODALITIES
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.query import (
    FoundSeries,
    FoundStudy,
    Matches,
    QueryFailed,
    QueryNotSupported,
    StudyQuery,
)

from .destinations import parse
from .dicomweb_source import DicomwebSource
from .query_retrieve import QueryRetrieve
from .source import Plan, Source
from .stow_rs import StowRs

CONNECT_SECONDS = 5.0


def parse_source(text: str) -> Source:
    """Read a source as a command line names it: in the same words as a destination of reports.

    Raises:
        ValueError: It is no PACS that can be asked.
    """
    destination = parse(text, DocumentForm.SR)
    if isinstance(destination, StowRs):
        return DicomwebSource(destination.base_url)
    if destination.station is not None:
        return QueryRetrieve(destination.station)
    raise ValueError(f"'{destination}' cannot be asked for studies")


def plan_studies(source: Source, query: StudyQuery, caller: Caller) -> list[Plan]:
    """Find what is to be fetched.

    Raises:
        Unreachable: The PACS is not there.
        QueryFailed: It refuses the query, has nothing, or its answer is ambiguous.
    """
    told = source.studies(query, caller)
    if not told.found:
        raise QueryFailed(
            "The PACS has no such study: check the number, and that the PACS lets this node see the study."
        )
    if query.accession_number is not None:
        _require_one_patient(told.found)
    studies = {study.study_instance_uid: study for study in told.found}
    return [_plan(source, study, told.missing, caller) for study in studies.values()]


def running_node(listening: Listening, tls: TlsFiles) -> Station:
    """Where the running node takes images.

    Raises:
        NodeError: It is not running there.
    """
    host, secure = listening.host, tls.certificate is not None
    if host in ("0.0.0.0", "::"):  # noqa: S104 - to know it, not to listen
        # over TLS, by the name that its certificate can hold
        host = socket.getfqdn() if secure else "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    if listening.port == 0:
        raise NodeError(
            ExitCode.USAGE, "The node's port is 0, any free one: set port to the one that it listens on."
        )
    node = Station(listening.ae_title, host, listening.port, secure)
    try:
        socket.create_connection((host, listening.port), CONNECT_SECONDS).close()
    except OSError as error:
        raise NodeError(
            ExitCode.FAILED,
            f"The node is not running at {node.address}: start it with boneage-node start, or name the "
            "settings that it runs with (--config).",
        ) from error
    return node


def _require_one_patient(studies: Sequence[FoundStudy]) -> None:
    """Refuse studies that may be of several patients: an accession number is only unique where it was made.

    Raises:
        QueryFailed: They are, or the PACS does not say whose they are.
    """
    days = {study.study_instance_uid: study.study_date or "unknown date" for study in studies}
    patients = {study.patient_id for study in studies}
    if len(patients - {""}) > 1:
        what = "Studies of several patients have this accession number"
    elif len(days) > 1 and "" in patients:
        what = "Several studies have this accession number, and the PACS does not say whose they are"
    else:
        return
    found = ", ".join(f"{uid} ({day})" for uid, day in days.items())
    raise QueryFailed(f"{what}, so nothing is fetched. Choose one with --study: {found}.")


def _plan(source: Source, study: FoundStudy, missing: str, caller: Caller) -> Plan:
    """What of a study is wanted: all of it, where the PACS answers for studies alone."""
    try:
        told = source.series(study.study_instance_uid, caller)
    except QueryNotSupported:
        told = Matches[FoundSeries](())
    all_missing = tuple(filter(None, [missing, told.missing]))
    if not told.found:
        return Plan(study, None, missing=all_missing)
    wanted = tuple(one for one in told.found if one.modality.upper() in MODALITIES)
    left_out = tuple(sorted(one.modality for one in told.found if one not in wanted))
    return Plan(study, wanted, left_out, all_missing)
