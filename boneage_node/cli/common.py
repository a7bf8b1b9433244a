"""Parts that several commands share: options, the predictor, progress, tables of readings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from boneage_node.errors import ExitCode, NodeError
from boneage_node.reading.settings import SexUnknown
from boneage_node.traffic.result import Result, ResultStatus

from .options import option

ConfigOption = Annotated[
    Path | None,
    # readable: what cannot be read is a sentence of ours, not a misuse of the command line
    typer.Option(
        "--config", help="Settings file (TOML). Default: the one BONEAGE_CONFIG names.", readable=False
    ),
]
DataDirOption = Annotated[Path | None, option("storage.data_dir")]
ModelOption = Annotated[str | None, option("reading.model")]
SexUnknownOption = Annotated[SexUnknown, option("reading.sex_unknown")]
DeviceOption = Annotated[str, option("reading.device")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# No markup: names of files and texts of peers may have square brackets.
out = Console(markup=False)
err = Console(stderr=True, markup=False)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; gives a function ``(done, note="", total=None)`` that moves it.

    Args:
        title: What is done.
        total: How much there is to do; None where it is not yet known, until the function is told.
    """
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=total, note="")

        def advance(done: int, note: str = "", total: int | None = None) -> None:
            progress.update(task, completed=done, note=note, total=total)

        yield advance


def require_train_extra() -> None:
    """Refuse a command that measures or trains where the packages it takes are not installed.

    Raises:
        NodeError: With what installs them.
    """
    missing = [name for name in ("jinja2", "matplotlib", "pandas") if find_spec(name) is None]
    if missing:
        raise NodeError(
            ExitCode.USAGE, f"This command needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )


def dicom_files(paths: Iterable[Path]) -> list[Path]:
    """Files that are named, and DICOM files in folders that are named, sorted.

    Raises:
        NodeError: Where a path does not exist, or nothing is found.
    """
    found = files_in(paths, is_dicom)
    if not found:
        raise NodeError(ExitCode.USAGE, "No DICOM file was found in what was named.")
    return found


def files_in(paths: Iterable[Path], wanted: Callable[[Path], bool]) -> list[Path]:
    """Files that are named, and those wanted in folders that are named, sorted.

    Raises:
        NodeError: Where a path does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (
                Path(folder, name) for folder, _, names in os.walk(path, onerror=_say) for name in names
            )
            found += sorted(file for file in inside if file.is_file() and wanted(file))
        elif path.exists():
            found.append(path)
        else:
            raise NodeError(ExitCode.USAGE, f"{path} does not exist.")
    return found


def _say(error: OSError) -> None:
    typer.echo(f"Note: {error.filename} is passed over: {error.strerror}.", err=True)


def is_dicom(file: Path) -> bool:
    """Whether a file has a DICOM prefix; also true where it cannot be read, so that what reads it says so."""
    try:
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM" and file.name != "DICOMDIR"
    except OSError:
        return True


READING_COLUMNS = ("sex", "age", "bone age", "95 %, mo", "z")


def reading_cells(result: Result) -> tuple[str, ...]:
    """Sex, age, bone age, interval and z-score of a result, for people.

    Where sex is unknown, the bone age is the mean, and below it what was read as a girl and as a boy.
    """
    low_high, z_score = result.interval_months, result.z_score
    by_sex = result.bone_age_months_by_sex or {}
    bone_ages = [years(result.bone_age_months)] if low_high else ["-"]
    if len(by_sex) > 1:
        bone_ages += [f"{sex} {years(age_months)}" for sex, age_months in by_sex.items()]
    return (
        result.sex or "?",
        years(result.chronological_age_months),
        "\n".join(bone_ages),
        f"{low_high[0]:.0f}-{low_high[1]:.0f}" if low_high else "-",
        "-" if z_score is None else f"{z_score:+z.1f}",
    )


def plain_table(*columns: str, broken: int = 1) -> Table:
    """A table that fits 80 columns: no lines between columns, and only the last ones, or one, are broken."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for number, column in enumerate(columns, 1):
        table.add_column(column, no_wrap=number <= len(columns) - broken, overflow="fold")
    return table


def print_readings(results: list[Result], last_column: str, outcome: Callable[[Result], str]) -> None:
    """Print a row for each result, then what the reasons for refusals mean."""
    table = plain_table("file", *READING_COLUMNS, last_column)
    for result in results:
        table.add_row(Path(result.file).name, *reading_cells(result), outcome(result))
    out.print(table)
    for code in dict.fromkeys(each.reason for each in results if each.status is ResultStatus.REFUSED):
        out.print(f"{code}: {reason_sentence(code)}")


def reason_sentence(code: str | None) -> str:
    """A reason code as a sentence."""
    from boneage_node.bone_age import ReasonCode, Refusal

    return Refusal(ReasonCode(code)).sentence if code else ""


def years(age_months: float | None) -> str:
    """An age as ``8 y 3 mo``; a question mark where it is unknown."""
    from boneage_node.report.wording import years_and_months

    return "?" if age_months is None else years_and_months(age_months)
