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
    from boneage_node.store import DeliveryDetail, Store

app = typer.Typer(no_args_is_help=True, help="List the studies of a node, show one; try, send or read again.")

COMMITMENT_SENTENCES = {
    "to_ask": "not committed yet: storage commitment will be requested",
    "asked": "not committed yet: storage commitment was requested, and the answer is waited for",
    "committed": "committed: the destination has said that it keeps it",
    "refused": "not committed: the destination has said that it does not keep it",
    "unanswered": "not committed: no request for storage commitment was answered",
    "unsupported": "not committed: the destination takes no requests for storage commitment",
}
"""For each state of a commitment, what `studies show` says below the delivery."""

_FORMS = {"sr": "structured report", "picture": "picture", "fhir": "FHIR"}

StudyArgument = Annotated[
    str, typer.Argument(help="The study's number in the list, or its Study Instance UID.")
]
DestinationOption = Annotated[
    str | None,
    typer.Option(help="Only what goes there: a destination as studies show and the settings have it."),
]


@contextmanager
def _store(config: Any, data_dir: Any, *, read_only: bool = False) -> Iterator[Store]:
    from boneage_node.node.opening import open_store
    from boneage_node.settings import load_settings
    from boneage_node.store import NoSuchStudy

    storage = load_settings(config, storage={"data_dir": data_dir}).storage
    with open_store(storage, read_only=read_only) as store:
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
    with _store(config, data_dir, read_only=True) as store:
        studies = store.studies.list(state=StudyState(state) if state else None, limit=limit)
    if as_json:
        for study in studies:
            typer.echo(_json(dataclasses.asdict(study)))
        return
    table = plain_table("no.", "received", "state", "n", *READING_COLUMNS, "sent")
    for study in studies:
        cells = reading_cells(study.result) if study.result else ("",) * len(READING_COLUMNS)
        deliveries = ", ".join(f"{count} {status}" for status, count in study.deliveries.items() if count)
        if study.next_delivery_at is not None:
            deliveries += f", next {_when(study.next_delivery_at)[5:16]}"
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
    with _store(config, data_dir, read_only=True) as store:
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
        out.print(_delivery(delivery))
        if delivery.commitment is not None:
            problem = f": {delivery.commitment.last_error}" if delivery.commitment.last_error else ""
            out.print(f"  {COMMITMENT_SENTENCES[delivery.commitment.state]}{problem}")
    table = plain_table("when", "what", "")
    for event in detail.events:
        table.add_row(_when(event.at), event.kind, event.detail or "")
    out.print(table)


@app.command()
def retry(
    study: Annotated[
        str | None, typer.Argument(help="The study's number in the list, or its Study Instance UID.")
    ] = None,
    destination: DestinationOption = None,
    every: Annotated[bool, typer.Option("--all", help="Of all studies, to all destinations.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Try at once what has failed, or waits for its next attempt.

    Dead letters and reports that wait are sent. Studies that were set aside are read.
    Storage commitment that was never answered is requested.
    What has been delivered is not sent: see resend. What has been read is not read: see reread.

    Exit status: 0 when something was set going, 1 when there was nothing to try.

    \b
    Examples:
      boneage-node studies retry 5
      boneage-node studies retry --destination PACS@10.0.0.5:104
      boneage-node studies retry --all
    """  # noqa: D301 - click reads the backspace
    if every == (study is not None or destination is not None):
        raise typer.BadParameter("name a study, or --destination, or --all", param_hint="STUDY")
    with _store(config, data_dir) as store:
        retried = store.studies.retry(study, _known_as(destination))
    if retried.deliveries:
        out.print(f"{_count(retried.deliveries, 'delivery', 'deliveries')} will be tried now.")
    if retried.commitments:
        of = _count(retried.commitments, "delivery", "deliveries")
        out.print(f"Storage commitment of {of} will be requested again.")
    if retried.readings:
        out.print(f"{_count(retried.readings, 'study', 'studies')} will be read again.")
    if not (retried.deliveries or retried.commitments or retried.readings):
        raise NodeError(
            ExitCode.FAILED,
            "Nothing has failed, and nothing waits for another attempt. To send again what has been "
            "delivered: boneage-node studies resend. To read a study again: boneage-node studies reread.",
        )


@app.command()
def resend(
    study: StudyArgument,
    destination: DestinationOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send once more what has been delivered, for a PACS that lost it.

    The newest report of the study goes again, as the same objects.
    What has not been delivered yet goes by itself: retry hurries it.

    Exit status: 0 when something is sent, 1 when nothing has been delivered.
    """
    with _store(config, data_dir) as store:
        deliveries = store.studies.send_again(study, _known_as(destination))
    if not deliveries:
        where = f" to {destination}" if destination else ""
        raise NodeError(
            ExitCode.FAILED,
            f"Nothing of the newest report has been delivered{where}: see boneage-node studies show, and "
            "hurry what waits with boneage-node studies retry.",
        )
    out.print(f"{_count(deliveries, 'document', 'documents')} will be sent again.")


@app.command()
def reread(study: StudyArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Read a study again, after the model or a setting was changed.

    A report that says the same as the one before is not sent again: see resend.

    Exit status: 0 when it is read, 1 when it is on its way anyhow.
    """
    with _store(config, data_dir) as store:
        if not store.studies.read_again(study):
            raise NodeError(ExitCode.FAILED, "The study is on its way: it will be read anyhow.")
    out.print("The study will be read again.")


def _known_as(destination: str | None) -> str | None:
    """A destination as the database has it."""
    from boneage_node.exchange.destinations import parse
    from boneage_node.traffic.document import DocumentForm

    for form in (DocumentForm.SR, DocumentForm.FHIR):
        try:
            return None if destination is None else str(parse(destination, form))
        except ValueError:  # of another protocol, or of one that an earlier version knew
            continue
    return destination


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _delivery(delivery: DeliveryDetail) -> str:
    """A delivery in words: what goes where, how far it has come, and what was said of it."""
    state = {
        "todo": f"waits for attempt {delivery.attempts + 1}, at {_when(delivery.scheduled_at)}",
        "doing": "is under way",
        "done": "is delivered",
        "dead": f"is a dead letter after {_count(delivery.attempts, 'attempt', 'attempts')}",
    }[delivery.status]
    if delivery.outcome == "superseded":
        state = "is not sent any more: the study has a newer report"
    elif delivery.outcome == "warned":
        state = "is delivered, with a warning"
    said = f": {delivery.last_error}" if delivery.last_error else ""
    return f"Delivery {delivery.id} ({_FORMS[delivery.form]}) to {delivery.destination} {state}{said}"
