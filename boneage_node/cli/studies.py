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
    from boneage_node.radiograph import Identification
    from boneage_node.store import DeliveryDetail, Store, StudyDetail, StudySummary
    from boneage_node.traffic.document import DocumentForm

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

STUDY_HELP = (
    "The study's number in the list, its Study Instance UID, or its accession number. Digits are a number in "
    "the list where there is one: an accession number of digits is found by studies list --accession."
)
StudyArgument = Annotated[str, typer.Argument(help=STUDY_HELP)]
PatientOption = Annotated[
    bool,
    typer.Option(
        "--patient",
        help="Show PatientID, name and accession number, read from the newest image's header. Patient data: "
        "not for a ticket or a log.",
    ),
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
            raise NodeError(ExitCode.FAILED, f"{error}: see boneage-node studies list.") from error


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


def _as_json(study: StudySummary | StudyDetail, whose: Identification | None) -> dict[str, Any]:
    """A study for programs; with whose it is only where that was asked for."""
    return dataclasses.asdict(study) | ({} if whose is None else {"patient": dataclasses.asdict(whose)})


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def _day(moment: datetime) -> str:
    """A time of this year as month, day and minute, an earlier one as its date."""
    local = moment.astimezone()
    return local.strftime("%m-%d %H:%M" if local.year == datetime.now().year else "%Y-%m-%d")


@app.command("list")
def list_(
    state: Annotated[
        str | None,
        typer.Option(help="Only those: receiving, queued, reading, reported, refused or set_aside."),
    ] = None,
    accession: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Only those with this accession number.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the latest first.")] = 100,
    patient: PatientOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List studies, the latest first, with what was read or why not, and how far their reports have come.

    \b
    Examples:
      boneage-node studies list --state refused
      boneage-node studies list --accession 20240017 --patient
    """  # noqa: D301 - click reads the backspace
    from boneage_node.store import StudyState

    if state is not None and state not in tuple(StudyState):
        raise typer.BadParameter(f"one of {', '.join(StudyState)}", param_hint="--state")
    with _store(config, data_dir, read_only=True) as store:
        studies = store.studies.list(
            state=StudyState(state) if state else None, accession_number=accession, limit=limit
        )
        identified = _identified(store, [study.id for study in studies]) if patient else None
    if as_json:
        for study in studies:
            typer.echo(_json(_as_json(study, (identified or {}).get(study.id))))
        return
    _print_list(studies, identified)


def _identified(store: Store, study_ids: list[int]) -> dict[int, Identification]:
    """Whose the studies are, by id; empty words where the file cannot be read."""
    from boneage_node.radiograph import Identification, read_identification

    files = store.studies.newest_files(study_ids)
    return {
        study_id: read_identification(file) or Identification("", "", "") for study_id, file in files.items()
    }


def _print_list(studies: list[StudySummary], identified: dict[int, Identification] | None) -> None:
    """Print studies as a table that fits 80 columns: with what was read, or with whose they are."""
    if identified is None:
        table = plain_table("no", "received", "state", "n", *READING_COLUMNS, "reports")
    else:
        table = plain_table("no", "received", "state", "patient", "name", "accession", "reports", broken=4)
    for study in studies:
        if identified is None:
            reading = reading_cells(study.result) if study.result else ("",) * len(READING_COLUMNS)
            cells = (str(study.instances), *reading)
        else:
            whose = identified[study.id]
            cells = (whose.patient_id, whose.patient_name, whose.accession_number)
        table.add_row(str(study.id), _day(study.received_at), study.state, *cells, _came_of(study))
    out.print(table)
    reasons = [study.result.reason for study in studies if study.result is not None and study.result.reason]
    for code in dict.fromkeys(reasons):
        out.print(f"{code}: {reason_sentence(code)}")


def _came_of(study: StudySummary) -> str:
    """Why a study was not read, and how far its reports have come."""
    refusal = study.result.reason if study.result is not None else None
    deliveries = ", ".join(f"{count} {status}" for status, count in study.deliveries.items() if count)
    if study.next_delivery_at is not None:
        deliveries += f", next {_day(study.next_delivery_at)}"
    return "\n".join(filter(None, (study.problem, refusal, deliveries)))


@app.command()
def show(
    study: StudyArgument,
    patient: PatientOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Show everything about one study: images, reports, deliveries, history."""
    with _store(config, data_dir, read_only=True) as store:
        detail = store.studies.show(study)
        whose = _identified(store, [detail.id]).get(detail.id) if patient else None
    if as_json:
        typer.echo(_json(_as_json(detail, whose)))
        return
    out.print(
        f"Study {detail.id}  {detail.study_instance_uid}\n"
        f"State {detail.state}, since {_when(detail.updated_at)}"
    )
    if whose is not None:
        out.print(f"Patient {whose.patient_id}  {whose.patient_name}\nAccession {whose.accession_number}")
    for image in detail.instances:
        out.print(f"Image {image.id}  {image.sop_instance_uid}, {_when(image.received_at)}")
    for report in detail.reports:
        sex, age, bone_age, interval, z_score = reading_cells(report.result)
        ages = bone_age.replace("\n", ", ")
        found = reason_sentence(report.result.reason) or f"bone age {ages} ({interval}), z {z_score}"
        out.print(f"Report {report.id}, {_when(report.created_at)}: sex {sex}, age {age}: {found}")
    for job in detail.jobs:
        if job.last_error:
            node = f", put off {job.put_off} times for the node's own trouble" if job.put_off else ""
            out.print(
                f"Reading {job.id} is {job.status} after {job.attempts} attempts{node}: {job.last_error}"
            )
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
    study: Annotated[str | None, typer.Argument(help=STUDY_HELP)] = None,
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
def redirect(
    old: Annotated[str, typer.Argument(help="Destination that reports wait for, as studies show has it.")],
    new: Annotated[str, typer.Argument(help="Destination that they go to instead.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Send to another destination what one has not got, after its address was changed.

    A change of send_to or fhir_to holds for new reports: those that wait keep their destination.

    Exit status: 0 when something is sent, 1 when nothing waits for the old destination, or all of it goes to
    the new one anyhow.
    """
    with _store(config, data_dir) as store:
        source = _known_as(old) or old
        forms = store.outbox.undelivered_forms(source)
        waiting = ", ".join(store.outbox.undelivered())
        if not forms:
            known = f"Reports wait for {waiting}." if waiting else "No report waits for any destination."
            raise NodeError(ExitCode.FAILED, f"Nothing waits for {old}. {known}")
        target = _destination_of(new, forms)
        if target == source:
            raise NodeError(
                ExitCode.USAGE,
                f"Both are {source}. To hurry what waits there: boneage-node studies retry --destination.",
            )
        deliveries = store.studies.redirect(source, target)
    if not deliveries:
        raise NodeError(ExitCode.FAILED, f"{target} has all of it, or gets it anyhow: nothing more is sent.")
    out.print(f"{_count(deliveries, 'document', 'documents')} will be sent to {target}.")


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


def _destination_of(text: str, forms: list[DocumentForm]) -> str:
    """A destination of these forms of document, as the database has it.

    Raises:
        NodeError: It is none, or takes no such documents.
    """
    from boneage_node.exchange.destinations import parse

    try:
        (target,) = {str(parse(text, form)) for form in forms}
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, f"{error}.") from error
    return target


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


@app.command("leave-out")
def leave_out(
    study: StudyArgument,
    image: Annotated[str, typer.Argument(help="Its number in studies show, or its SOP Instance UID.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Leave an image of a study out, and read the study again without it.

    For a wrong copy beside the right one, as where images contradict each other.
    It counts again once it is sent again.

    Example: boneage-node studies leave-out A123 7
    """
    with _store(config, data_dir) as store:
        store.studies.leave_out(study, image)
    out.print("The study will be read again without the image.")
