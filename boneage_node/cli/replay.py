"""``boneage-node replay``: play a modality."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boneage_node.errors import ExitCode, NodeError
from boneage_node.reading.settings import SexUnknown
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.result import Result, ResultStatus

from .common import (
    DeviceOption,
    JsonOption,
    ModelOption,
    SexUnknownOption,
    dicom_files,
    err,
    out,
    plain_table,
    print_readings,
    progress_bar,
)

if TYPE_CHECKING:
    from boneage_node.exchange.destination import Destination
    from boneage_node.replay.output import OutputFolder
    from boneage_node.store import StudyDetail
    from boneage_node.traffic.outcome import Sent

CALLING_AE_TITLE = "REPLAY"


@dataclass(frozen=True)
class Played:
    """The outcome of a file.

    Attributes:
        result: Its result.
        report: Path of the structured report that is kept, or None.
        picture: Path of the picture that is kept, or None.
    """

    result: Result
    report: str | None = None
    picture: str | None = None


def replay(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="DICOM files, or folders of them. Without any, hands are drawn and sent."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="AE@HOST:PORT", help="Send to a running node instead of a temporary one."),
    ] = None,
    keep: Annotated[
        Path, typer.Option("--out", help="Where structured reports and pictures are kept.")
    ] = Path("replay-out"),
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    sex_unknown: SexUnknownOption = "refuse",
) -> None:
    """Send studies as a modality would, and show what comes back.

    Without --to, a whole temporary node and a small PACS are started on loopback, with free ports: the files
    go in by C-STORE, the reports come back by C-STORE. Reports (.dcm) and pictures (.png) are kept in --out,
    named after the files. With --to, the files are sent to a running node, and its answers shown;
    with /tls behind the port, over TLS as the settings of TLS say.

    Exit status: 0 when every study was read or refused (with --to: stored), else 1.

    \b
    Examples:
      boneage-node replay
      boneage-node replay my-studies/ --out reports
      boneage-node replay hand.dcm --to BONEAGE@127.0.0.1:11112
    """  # noqa: D301 - click reads the backspace
    from boneage_node.exchange.destinations import parse
    from boneage_node.traffic.document import DocumentForm

    try:
        destination = None if to is None else parse(to, DocumentForm.SR)
    except ValueError as error:
        raise NodeError(ExitCode.USAGE, str(error)) from error
    with _named_or_drawn(paths) as files:
        if destination is None:
            rows = _play(files, keep, model, device, sex_unknown)
            _show(rows, keep, as_json)
            failed = any(row.result.status is ResultStatus.FAILED for row in rows)
        else:
            sent = _send(_by_study(files), destination)
            _show_sent(sent, as_json)
            failed = any(answer.error for answer in sent)
    if failed:
        raise typer.Exit(ExitCode.FAILED)


@contextmanager
def _named_or_drawn(paths: list[Path] | None) -> Iterator[list[Path]]:
    """The files of the paths; without any, the sample studies, drawn for as long as they are used."""
    from boneage_node.phantom.samples import write_samples

    if paths:
        yield dicom_files(paths)
        return
    with tempfile.TemporaryDirectory(prefix="boneage-samples-") as folder:
        with err.status("drawing hands"):
            drawn = write_samples(Path(folder))
        yield drawn


def _by_study(files: list[Path]) -> dict[str, list[Path]]:
    """Files grouped by study, in their order; what is no DICOM is named and left out.

    Raises:
        NodeError: Where none is left.
    """
    from boneage_node.bone_age import Refusal
    from boneage_node.radiograph import read_dataset, read_header

    studies: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        try:
            header = read_header(read_dataset(LocalFile(file), pixels=False))
        except Refusal as refusal:
            err.print(f"{file} is left out: {refusal.sentence}")
            continue
        studies[header.study_instance_uid].append(file)
    if not studies:
        raise NodeError(ExitCode.USAGE, "None of the files can be sent.")
    return studies


def _send(studies: dict[str, list[Path]], destination: Destination) -> list[Sent]:
    """Send each study over an association of its own, as a modality does."""
    from boneage_node.net.calling import Caller
    from boneage_node.settings import load_settings

    caller = Caller(CALLING_AE_TITLE, load_settings().tls)
    answers: list[Sent] = []
    with progress_bar("sending", sum(len(files) for files in studies.values())) as advance:
        for files in studies.values():
            for sent in destination.send(map(LocalFile, files), caller):
                answers.append(sent)
                advance(len(answers), "")
    return answers


def _play(
    files: list[Path], keep: Path, model: str | None, device: str, sex_unknown: SexUnknown
) -> list[Played]:
    """Play the files through a temporary node; gives what came of each file."""
    from boneage_node.exchange.c_store import CStore
    from boneage_node.replay.node import TemporaryNode
    from boneage_node.replay.output import OutputFolder
    from boneage_node.replay.pacs import SmallPacs

    studies = _by_study(files)
    with tempfile.TemporaryDirectory(prefix="boneage-replay-") as temporary:
        received = Path(temporary) / "pacs"
        received.mkdir()
        with (
            SmallPacs(received) as pacs,
            TemporaryNode(Path(temporary), pacs.destination, model, device, sex_unknown) as node,
        ):
            sent_files = _send(studies, CStore(node.destination))
            problems = {Path(sent.file.key): sent.error for sent in sent_files if sent.error}
            arrived = [uid for uid, group in studies.items() if not problems.keys() >= set(group)]
            with progress_bar("reading", len(arrived)) as advance:
                details = node.wait_for(arrived, lambda done: advance(done, ""))
        output = OutputFolder(keep, received)
        rows = [_failed_row(file, error) for file, error in problems.items()]
        for detail in details:
            stored = [file for file in studies[detail.study_instance_uid] if file not in problems]
            rows += [_row(file, detail, output) for file in stored]
    order = {str(file): number for number, file in enumerate(files)}
    return sorted(rows, key=lambda row: order[row.result.file])


def _row(file: Path, detail: StudyDetail, output: OutputFolder) -> Played:
    """The result of a file: that of its study's report, if it was made of this file's image."""
    from boneage_node.radiograph import read_dataset

    if not detail.reports:
        error = next((job.last_error for job in reversed(detail.jobs) if job.last_error), None)
        return _failed_row(file, error or "set aside")
    report = detail.reports[-1]
    sop_instance_uid = str(read_dataset(LocalFile(file), pixels=False).get("SOPInstanceUID", ""))
    if report.result.sop_instance_uid not in (sop_instance_uid, None):
        return Played(Result(str(file), sop_instance_uid, ResultStatus.NOT_CHOSEN))
    result = replace(report.result, file=str(file))
    for delivery in detail.deliveries:
        if delivery.last_error:
            return Played(replace(result, status=ResultStatus.FAILED, reason=delivery.last_error))
    # Nobody is sent anything of what software made.
    return Played(result, **(output.keep(file, report) if report.documents else {}))


def _failed_row(file: Path, error: str) -> Played:
    return Played(Result.failed(str(file), error))


def _show(rows: list[Played], keep: Path, as_json: bool) -> None:
    if as_json:
        for row in rows:
            kept = {"report": row.report, "picture": row.picture}
            typer.echo(json.dumps(row.result.to_json() | kept))
        return
    print_readings([row.result for row in rows], "report", _outcome)
    out.print(f"Reports and pictures are in {keep}. Research use only: no result is verified.")


def _outcome(result: Result) -> str:
    match result.status:
        case ResultStatus.ASSESSED:
            return "kept"
        case ResultStatus.REFUSED:
            return str(result.reason)
        case ResultStatus.NOT_CHOSEN:
            return "another image of its study was read"
        case ResultStatus.FAILED:
            return f"failed: {result.reason}"


def _show_sent(answers: list[Sent], as_json: bool) -> None:
    if as_json:
        for sent in answers:
            status = None if sent.status is None else f"0x{sent.status:04X}"
            typer.echo(json.dumps({"file": sent.file.key, "status": status, "error": sent.error}))
        return
    table = plain_table("file", "answer")
    for sent in answers:
        table.add_row(Path(sent.file.key).name, sent.error or "stored")
    out.print(table)
