"""``boneage-node assess``: read files, without any network."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from boneage_node.errors import ExitCode, NodeError
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.result import Result, ResultStatus

from .common import (
    DeviceOption,
    JsonOption,
    ModelOption,
    SexUnknownOption,
    files_in,
    is_dicom,
    print_readings,
    progress_bar,
)

if TYPE_CHECKING:
    from boneage_node.bone_age import Sex
    from boneage_node.bone_age.predictor import Predictor
    from boneage_node.reading.study import Reading

FhirOption = Annotated[
    bool, typer.Option("--fhir", help="Print the results as FHIR R4, for programs; one Bundle a line.")
]


CsvOption = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", help="Write the results into a table; a row is there once it is read."
    ),
]
SexOption = Annotated[
    Literal["F", "M"] | None,
    typer.Option(help="Sex of the patients of all PNG, JPEG and TIFF files that are read."),
]
AgeOption = Annotated[
    float | None, typer.Option(min=0, metavar="MONTHS", help="Their age in months, where it is known.")
]


def assess(
    files: Annotated[
        list[Path], typer.Argument(help="DICOM files, PNG, JPEG or TIFF files, or folders of them.")
    ],
    as_json: JsonOption = False,
    as_fhir: FhirOption = False,
    csv_file: CsvOption = None,
    sex: SexOption = None,
    age_months: AgeOption = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    sex_unknown: SexUnknownOption = "refuse",
) -> None:
    """Read the bone age from files, each by itself.

    Sex and age of a DICOM file are those of its header. PNG, JPEG and TIFF have none: --sex and --age-months
    tell them, of all such files alike; in a folder these are read only with --sex, or with --sex-unknown
    both. Their grey may be of 8 or 16 bits and either polarity.

    With --json, one object a line: file, sop_instance_uid, status (assessed, refused or failed), reason, sex,
    chronological_age_months, bone_age_months, bone_age_months_by_sex, interval_months (of the bone age as the
    mean of readers), reader_interval_months (of what one reader says; null with a model that does not tell
    the two apart, whose interval_months is that), z_score, probability_outside_normal (0 to 1, that the hand
    is outside 2 SD; null as before), determination, determination_certain (of delayed and advanced, whether
    all of the interval is), agreement, cautions (fingers-outline, point-off-finger), earlier (always null
    here: only a node knows of earlier studies), laterality, model, elapsed_ms. With --csv, the same as
    columns: bone_age_months_f and _m, interval_low_months and interval_high_months,
    reader_interval_low_months and reader_interval_high_months, cautions with spaces between them.

    With --fhir, one resource a line: the transaction that a FHIR server is sent, or an
    OperationOutcome where a file names no study or breaks the reading.

    With --sex-unknown both, a patient of unknown sex has a reading as each sex, their mean as bone age, an
    interval that holds the intervals of both, and no z-score.

    Exit status: 0 when every file was assessed or refused, 1 when one failed.

    \b
    Examples:
      boneage-node assess hand.dcm --json
      boneage-node assess studies/ --csv bone-ages.csv
      boneage-node assess hand.png --sex F --age-months 99
    """  # noqa: D301 - click reads the backspace
    if as_json and as_fhir:
        raise typer.BadParameter("--json or --fhir, not both", param_hint="--fhir")
    told = sex is not None or age_months is not None
    paths = _files(files, sex is not None or sex_unknown == "both")
    if told and not any(map(_is_picture, paths)):
        raise NodeError(
            ExitCode.USAGE,
            "--sex and --age-months are for PNG, JPEG and TIFF files, and there are none: what is DICOM says "
            "both in its header.",
        )
    # after the files were found: it takes a while to import
    from boneage_node.bone_age import Sex
    from boneage_node.reading.study import load_predictor

    with _table(csv_file) as write_row:
        told_sex = None if sex is None else Sex(sex)
        reader = _Reader(load_predictor(model, device), told_sex, age_months, sex_unknown == "refuse")
        results = []
        for path, done in _shown(paths, as_json or as_fhir):
            result, resource = reader.read(path, as_fhir=as_fhir)
            results.append(result)
            write_row(result)
            done()
            if as_fhir:
                typer.echo(json.dumps(resource, ensure_ascii=False))
            elif as_json:
                typer.echo(json.dumps(result.to_json()))
    if not as_json and not as_fhir:
        _print(results, csv_file)
    if any(result.status is ResultStatus.FAILED for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _files(named: list[Path], pictures: bool) -> list[Path]:
    """What is to be read.

    Raises:
        NodeError: Nothing is, or a path does not exist.
    """
    found = files_in(named, lambda file: is_dicom(file) or (pictures and _is_picture(file)))
    if found:
        return found
    others = len(files_in(named, _is_picture))
    hint = f" It has {others} PNG, JPEG or TIFF: tell their --sex, or read them with --sex-unknown both."
    raise NodeError(ExitCode.USAGE, f"No DICOM file was found in what was named.{hint if others else ''}")


def _is_picture(file: Path) -> bool:
    from boneage_node.radiograph import PICTURE_SUFFIXES

    return file.suffix.lower() in PICTURE_SUFFIXES and not is_dicom(file)


@dataclass(frozen=True)
class _Reader:
    """Reads one file after the other; one that breaks the reading has failed, and the others go on.

    Attributes:
        predictor: The model.
        sex: Sex of the patients of pictures.
        age_months: Their age.
        sex_required: Whether a patient of unknown sex is refused.
    """

    predictor: Predictor
    sex: Sex | None
    age_months: float | None
    sex_required: bool

    def read(self, path: Path, *, as_fhir: bool) -> tuple[Result, dict[str, Any] | None]:
        """The answer for a file, and what a FHIR server would be sent where that is asked."""
        try:
            reading = self._reading(path)
            return reading.result(), _resource(path, reading) if as_fhir else None
        except Exception as error:
            from boneage_node.logs import class_name

            failure = Result.failed(str(path), class_name(error))
            return failure, _outcome("exception", f"{path}: {failure.reason}")

    def _reading(self, path: Path) -> Reading:
        from boneage_node.reading.study import read_picture, read_study

        file, required = LocalFile(path), self.sex_required
        if _is_picture(path):
            return read_picture(file, self.predictor, self.sex, self.age_months, sex_required=required)
        return read_study([file], self.predictor, sex_required=required)


def _resource(path: Path, reading: Reading) -> dict[str, Any]:
    """The Bundle of a reading, or an OperationOutcome where it is of no study."""
    from boneage_node.report import Report, fhir_bundle, report_instance_uid

    source, radiograph = reading.choice.dataset, reading.choice.radiograph
    try:
        if source is None:
            raise ValueError(reading.choice.refusal or "it names no study, as DICOM files do")
        uid = report_instance_uid(source, reading.answer, radiograph.pixels if radiograph else None)
        return fhir_bundle(Report(source, reading.answer, uid, datetime.now().astimezone()))
    except ValueError as error:
        return _outcome("invalid", f"{path}: {error}")


def _outcome(code: str, diagnostics: str) -> dict[str, Any]:
    """An OperationOutcome, its code one of FHIR's issue types."""
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _shown(paths: list[Path], for_programs: bool) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Each file, and what to call when it is done: people are shown how far it is."""
    if for_programs:
        yield from ((path, lambda: None) for path in paths)
        return
    with progress_bar("assessing", len(paths)) as advance:
        for number, path in enumerate(paths, 1):
            yield path, partial(advance, number, "")


@contextmanager
def _table(file: Path | None) -> Iterator[Callable[[Result], None]]:
    """A table in a file; gives what writes a row.

    Raises:
        NodeError: The file cannot be written.
    """
    if file is None:
        yield lambda result: None
        return
    try:
        opened = file.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise NodeError(ExitCode.USAGE, f"{file} cannot be written: {error.strerror}.") from error
    with opened:
        writer = csv.DictWriter(opened, list(_row(Result.failed("", ""))))
        writer.writeheader()

        def write(result: Result) -> None:
            writer.writerow(_row(result))
            opened.flush()

        yield write


def _row(result: Result) -> dict[str, Any]:
    """A result as a row: as its JSON, but for what is not one value."""
    told = result.to_json()
    by_sex = told["bone_age_months_by_sex"] or {}
    row: dict[str, Any] = {}
    for key, value in told.items():
        if key == "bone_age_months_by_sex":
            row |= {f"bone_age_months_{sex.lower()}": by_sex.get(sex) for sex in ("F", "M")}
        elif key in ("interval_months", "reader_interval_months"):
            name = key.removesuffix("_months")
            row |= zip((f"{name}_low_months", f"{name}_high_months"), value or (None, None), strict=True)
        elif key == "cautions":
            row[key] = " ".join(value or ())
        elif key != "earlier":
            row[key] = value
    return row


def _print(results: list[Result], csv_file: Path | None) -> None:
    """Tell people the results, or where they are."""
    if csv_file is None:
        print_readings(results, "refused", lambda result: result.reason or "")
        return
    counts = Counter(result.status for result in results)
    told = (ResultStatus.ASSESSED, ResultStatus.REFUSED, ResultStatus.FAILED)
    typer.echo(f"{', '.join(f'{counts[status]} {status}' for status in told)}: {csv_file}")
