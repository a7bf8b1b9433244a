"""``boneage-node fetch``: studies from a PACS into the running node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import ConfigOption, progress_bar

if TYPE_CHECKING:
    from boneage_node.exchange.arrivals import Arrivals
    from boneage_node.exchange.source import Plan, RunningNode, Source
    from boneage_node.net.calling import Caller
    from boneage_node.spool.storage import Storage
    from boneage_node.traffic.query import StudyQuery

_LONGEST_ACCESSION = 64
"""DICOM allows 16 characters, and archives hold longer ones."""


def fetch(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PACS",
            help="AE@host:port or AE@host:port/tls (C-FIND, C-MOVE), or the URL of a DICOMweb service.",
        ),
    ],
    accession: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", help="Accession number, letter by letter; all its studies are fetched."
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    config: ConfigOption = None,
) -> None:
    """Fetch a study from a PACS into the running node, which reads it as if it had been sent.

    Only radiographs are fetched; series of other modalities are named and left out. By C-MOVE, the PACS sends
    to the node: it must know the node's AE title, host and port, and the node must let it in. From a DICOMweb
    service, images are retrieved here and sent to the node, whose own AE title must be let in. The node is
    the one of the settings (--config, or BONEAGE_... in the environment).

    Exit status: 0 when every image has arrived, as far as the PACS tells how many there are, else 1.

    \b
    Examples:
      boneage-node fetch --from PACS@10.0.0.5:104 --accession A123
      boneage-node fetch --from PACS@10.0.0.5:104 --study 1.2.840.113619.2.5.1762
      boneage-node fetch --from https://pacs.example/dicom-web --accession A123
    """  # noqa: D301 - click reads the backspace
    from boneage_node.exchange.fetching import parse_source, plan_studies, running_node
    from boneage_node.exchange.source import RunningNode
    from boneage_node.settings import load_settings
    from boneage_node.traffic.outcome import Unreachable
    from boneage_node.traffic.query import QueryFailed

    settings = load_settings(config)
    query = _query(accession, study)
    try:
        pacs = parse_source(source)
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    station, caller = running_node(settings.listening, settings.tls), settings.caller
    try:
        plans = plan_studies(pacs, query, caller)
    except (Unreachable, QueryFailed) as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
    with _arrivals(settings.storage) as arrivals:
        node = RunningNode(station, arrivals)
        outcomes = [_fetch_one(pacs, plan, node, caller) for plan in plans if _has_radiographs(plan)]
    if not outcomes or not all(outcomes):
        raise typer.Exit(ExitCode.FAILED)


def _query(accession: str | None, study: str | None) -> StudyQuery:
    """Make the query of the options. ``*`` and ``?`` are letters of a number here, as on some bar codes.

    Raises:
        NodeError: Neither or both are given, or it is no such number.
    """
    from boneage_node.traffic.query import StudyQuery
    from boneage_node.traffic.uid import is_uid

    if (accession is None) == (study is None):
        raise NodeError(ExitCode.USAGE, "Say which study: either --accession NUMBER or --study UID.")
    if study is not None and not is_uid(study):
        raise NodeError(ExitCode.USAGE, f"'{study}' is not a UID, which is made of digits and dots.")
    if accession is not None and not re.fullmatch(
        rf"[^\\\x00-\x1f]{{1,{_LONGEST_ACCESSION}}}", accession := accession.strip()
    ):
        raise NodeError(
            ExitCode.USAGE,
            f"An accession number is 1 to {_LONGEST_ACCESSION} characters, and none of them a backslash.",
        )
    return StudyQuery(accession, study)


@contextmanager
def _arrivals(storage: Storage) -> Iterator[Arrivals | None]:
    """What the node's store has; None where this user, or this machine, cannot open it."""
    from boneage_node.exchange.arrivals import Arrivals
    from boneage_node.node.opening import open_store

    try:
        store = open_store(storage, read_only=True)
    except NodeError:
        yield None
        return
    with store:
        yield Arrivals(store)


def _has_radiographs(plan: Plan) -> bool:
    """Say what a study has and what of it is left out; gives whether anything is to be fetched."""
    if plan.wanted is None:
        typer.echo(f"{_title(plan)}: the PACS lists no series of it; the whole study is fetched.")
        return True
    left_out = f"; left out: {', '.join(dict.fromkeys(plan.left_out))}" if plan.left_out else ""
    typer.echo(f"{_title(plan)}: {len(plan.wanted)} series to fetch{left_out}.")
    return bool(plan.wanted)


def _fetch_one(source: Source, plan: Plan, node: RunningNode, caller: Caller) -> bool:
    """Fetch what is planned of a study, and say what came of it; gives whether all has arrived."""
    with progress_bar("fetching", None) as advance:
        fetched = source.fetch(plan, node, caller, lambda done, total: advance(done, total=total))
    problems = [*plan.missing, *fetched.problems]
    if not fetched.arrived and not problems and not fetched.notes:
        problems = ["The PACS sent nothing: look into its log."]
    for note in fetched.notes:
        typer.echo(f"Note: {note}", err=True)
    for problem in problems:
        typer.echo(f"Error: {problem}", err=True)
    if fetched.arrived:
        images = "1 image" if fetched.arrived == 1 else f"{fetched.arrived} images"
        follow = f"boneage-node studies show {plan.study.study_instance_uid}"
        typer.echo(f"The node has taken {images}. To follow it: {follow}")
    return not problems


def _title(plan: Plan) -> str:
    date = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", plan.study.study_date)
    return f"Study {plan.study.study_instance_uid} of {'-'.join(date.groups()) if date else 'unknown date'}"
