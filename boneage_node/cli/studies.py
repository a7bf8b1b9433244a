"""``boneage-node studies``: what the node received, and what became of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boneage_node.errors import ExitCode, NodeError

from .common import (
    READING_COLUMNS,
    ConfigOption,
    DataDirOption,
    JsonOption,
    out,
    plain_table,
    reading_cells,
    reason_sentence,
)

if TYPE_CHECKING:
    from boneage_node.store import Store

app = typer.Typer(no_args_is_help=True, help="List the studies of a node, show one, try one again.")

COMMITMENT_SENTENCES = {
    "to_ask": "not committed yet: storage commitment will be requested",
    "asked": "not committed yet: storage commitment was requested, and the answer is waited for",
    "committed": "committed: the destination has said that it keeps it",
    "refused": "not committed: the destination has said that it does not keep it",
    "unanswered": "not committed: no request for storage commitment was answered",
    "unsupported": "not committed: the destination takes no requests for storage commitment",
}
"""For each state of a commitment, what `studies show` says below the delivery."""

StudyArgument = Annotated[
    str, typer.Argument(help="The study's number in the list, or its Study Instance UID.")
]


@contextmanager
def _store(config: Any, data_dir: Any) -> Iterator[Store]:
    from boneage_node.node.opening import open_store
    from boneage_node.settings import load_settings
    from boneage_node.store import NoSuchStudy

    with open_store(load_settings(config, storage={"data_dir": data_dir}).storage) as store:
        try:
            yield store
        except NoSuchStudy as error:
            raise NodeError(
                ExitCode.FAILED, "There is no such study: see boneage-node studies list."
            ) from error


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(help="Only those: receiving, queued, reading, reported, refused or set_aside."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the latest first.")] = 100,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List studies, the latest first."""
    from boneage_node.store import StudyState

    if state is not None and state not in tuple(StudyState):
        raise typer.BadParameter(f"one of {', '.join(StudyState)}", param_hint="--state")
    with _store(config, data_dir) as store:
        studies = store.studies.list(state=StudyState(state) if state else None, limit=limit)
    if as_json:
        for study in studies:
            typer.echo(_json(dataclasses.asdict(study)))
        return
    table = plain_table("no.", "received", "state", "n", *READING_COLUMNS, "sent")
    for study in studies:
        cells = reading_cells(study.result) if study.result else ("",) * len(READING_COLUMNS)
        deliveries = ", ".join(f"{count} {status}" for status, count in study.deliveries.items() if count)
        table.add_row(
            str(study.id),
            _when(study.received_at)[:16],
            study.state,
            str(study.instances),
            *cells,
            deliveries,
        )
    out.print(table)


@app.command()
def show(
    study: StudyArgument,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show everything about one study: images, reports, deliveries, history."""
    with _store(config, data_dir) as store:
        detail = store.studies.show(study)
    if as_json:
        typer.echo(_json(dataclasses.asdict(detail)))
        return
    out.print(
        f"Study {detail.id}  {detail.study_instance_uid}\n"
        f"State {detail.state}, since {_when(detail.updated_at)}"
    )
    for report in detail.reports:
        sex, age, bone_age, interval, z_score = reading_cells(report.result)
        ages = bone_age.replace("\n", ", ")
        found = reason_sentence(report.result.reason) or f"bone age {ages} ({interval}), z {z_score}"
        out.print(f"Report {report.id}, {_when(report.created_at)}: sex {sex}, age {age}: {found}")
    for job in detail.jobs:
        if job.last_error:
            out.print(f"Reading {job.id} is {job.status} after {job.attempts} attempts: {job.last_error}")
    for delivery in detail.deliveries:
        problem = f": {delivery.last_error}" if delivery.last_error else ""
        out.print(f"Delivery {delivery.id} to {delivery.destination} is {delivery.status}{problem}")
        if delivery.commitment is not None:
            problem = f": {delivery.commitment.last_error}" if delivery.commitment.last_error else ""
            out.print(f"  {COMMITMENT_SENTENCES[delivery.commitment.state]}{problem}")
    table = plain_table("when", "what", "")
    for event in detail.events:
        table.add_row(_when(event.at), event.kind, event.detail or "")
    out.print(table)


@app.command()
def retry(study: StudyArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Send a study's dead letters again and ask again for storage commitment, or else read it again."""
    with _store(config, data_dir) as store:
        retried = store.studies.retry(study)
    if retried.deliveries:
        out.print(f"{retried.deliveries} deliveries will be tried again.")
    if retried.commitments:
        out.print(f"Storage commitment of {retried.commitments} deliveries will be requested again.")
    if retried.reading:
        out.print("The study will be read again.")
    if not (retried.deliveries or retried.commitments or retried.reading):
        out.print("The study is on its way; there is nothing to try again.")
