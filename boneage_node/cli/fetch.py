"""``boneage-node fetch``: studies from a PACS into the running node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import ConfigOption, progress_bar

if TYPE_CHECKING:
    from boneage_node.exchange.source import Plan, Source
    from boneage_node.net.addresses import Station
    from boneage_node.net.calling import Caller
    from boneage_node.traffic.query import StudyQuery


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
        str | None, typer.Option(metavar="NUMBER", help="Accession number; all its studies are fetched.")
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    config: ConfigOption = None,
) -> None:
    """Fetch a study from a PACS into the running node, which reads it as if it had been sent.

    Only radiographs are fetched; series of other modalities are named and left out. By C-MOVE, the PACS sends
    to the node: it must know the node's AE title, host and port, and the node must let it in. From a DICOMweb
    service, images are retrieved here and sent to the node, whose own AE title must be let in. The node is
    the one of the settings (--config, or BONEAGE_... in the environment).

    Exit status: 0 when every image has arrived, else 1.

    \b
    Examples:
      boneage-node fetch --from PACS@10.0.0.5:104 --accession A123
      boneage-node fetch --from PACS@10.0.0.5:104 --study 1.2.840.113619.2.5.1762
      boneage-node fetch --from https://pacs.example/dicom-web --accession A123
    """  # noqa: D301 - click reads the backspace
    from boneage_node.exchange.fetching import parse_source, plan_studies, running_node
    from boneage_node.settings import load_settings
    from boneage_node.traffic.outcome import Unreachable
    from boneage_node.traffic.query import QueryFailed

    settings = load_settings(config)
    query = _query(accession, study)
    try:
        pacs = parse_source(source)
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    node, caller = running_node(settings.listening, settings.tls), settings.caller
    try:
        plans = plan_studies(pacs, query, caller)
        outcomes = [_fetch_one(pacs, plan, node, caller) for plan in plans if _has_radiographs(plan)]
    except (Unreachable, QueryFailed) as error:
        raise NodeError(ExitCode.FAILED, str(error)) from error
    if not outcomes or not all(outcomes):
        raise typer.Exit(ExitCode.FAILED)


def _query(accession: str | None, study: str | None) -> StudyQuery:
    """Make the query of the options; wildcards would fetch studies that nobody meant.

    Raises:
        NodeError: Neither or both are given, or it is no such number.
    """
    from boneage_node.traffic.query import StudyQuery
    from boneage_node.traffic.uid import is_uid

    if (accession is None) == (study is None):
        raise NodeError(ExitCode.USAGE, "Say which study: either --accession NUMBER or --study UID.")
    if study is not None and not is_uid(study):
        raise NodeError(ExitCode.USAGE, f"'{study}' is not a UID, which is made of digits and dots.")
    if accession is not None and not re.fullmatch(r"[^\\*?\x00-\x1f]{1,16}", accession := accession.strip()):
        raise NodeError(
            ExitCode.USAGE, "An accession number is 1 to 16 characters, and * ? \\ are not for fetching."
        )
    return StudyQuery(accession, study)


def _has_radiographs(plan: Plan) -> bool:
    """Say what a study has and what of it is left out; gives whether anything is to be fetched."""
    left_out = f"; left out: {', '.join(dict.fromkeys(plan.left_out))}" if plan.left_out else ""
    typer.echo(f"{_title(plan)}: {len(plan.wanted)} series to fetch{left_out}.")
    return bool(plan.wanted)


def _fetch_one(source: Source, plan: Plan, node: Station, caller: Caller) -> bool:
    """Fetch what is planned of a study, and say what came of it; gives whether all has arrived."""
    with progress_bar("fetching", None) as advance:
        fetched = source.fetch(plan, node, caller, lambda done, total: advance(done, total=total))
    for problem in fetched.problems:
        typer.echo(f"Error: {problem}", err=True)
    if not fetched.arrived and not fetched.problems:
        typer.echo("Error: The PACS sent nothing: look into its log.", err=True)
    if fetched.arrived:
        images = "1 image" if fetched.arrived == 1 else f"{fetched.arrived} images"
        follow = f"boneage-node studies show {plan.study.study_instance_uid}"
        typer.echo(f"The node has taken {images}. To follow it: {follow}")
    return fetched.arrived > 0 and not fetched.problems


def _title(plan: Plan) -> str:
    date = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", plan.study.study_date)
    return f"Study {plan.study.study_instance_uid} of {'-'.join(date.groups()) if date else 'unknown date'}"
