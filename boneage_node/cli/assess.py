"""``boneage-node assess``: read files, without any network."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boneage_node.errors import ExitCode
from boneage_node.reading.settings import SexUnknown
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.result import Result, ResultStatus

from .common import (
    DeviceOption,
    JsonOption,
    ModelOption,
    SexUnknownOption,
    dicom_files,
    print_readings,
    progress_bar,
)

if TYPE_CHECKING:
    from boneage_node.bone_age.predictor import Predictor

FhirOption = Annotated[
    bool, typer.Option("--fhir", help="Print the results as FHIR R4, for programs; one Bundle a line.")
]


def assess(
    files: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    as_json: JsonOption = False,
    as_fhir: FhirOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    sex_unknown: SexUnknownOption = "refuse",
) -> None:
    """Read the bone age from DICOM files.

    With --json, one object a line: file, sop_instance_uid, status (assessed, refused or failed), reason, sex,
    chronological_age_months, bone_age_months, bone_age_months_by_sex, interval_months, z_score,
    determination, determination_certain (of delayed and advanced, whether all of the interval is), agreement,
    cautions (fingers-outline, point-off-finger), earlier (always null here: only a node knows of earlier
    studies), laterality, model, elapsed_ms.

    With --fhir, one resource a line: the transaction that a FHIR server is sent, or an
    OperationOutcome where a file names no study or breaks the reading.

    With --sex-unknown both, a patient of unknown sex has a reading as each sex, their mean as bone age, an
    interval that holds the intervals of both, and no z-score.

    Exit status: 0 when every file was assessed or refused, 1 when one failed.

    Example: boneage-node assess hand.dcm --json
    """
    if as_json and as_fhir:
        raise typer.BadParameter("--json or --fhir, not both", param_hint="--fhir")
    paths = dicom_files(files)
    # after the files were found: it takes a while to import
    from boneage_node.reading.study import load_predictor

    predictor = load_predictor(model, device)
    results = []
    if as_fhir:
        for path in paths:
            result, resource = _fhir_result(path, predictor, sex_unknown)
            results.append(result)
            typer.echo(json.dumps(resource, ensure_ascii=False))
    elif as_json:
        for path in paths:
            results.append(_result(path, predictor, sex_unknown))
            typer.echo(json.dumps(results[-1].to_json()))
    else:
        with progress_bar("assessing", len(paths)) as advance:
            for done, path in enumerate(paths, 1):
                results.append(_result(path, predictor, sex_unknown))
                advance(done, "")
        print_readings(results, "refused", lambda result: result.reason or "")
    if any(result.status is ResultStatus.FAILED for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _result(path: Path, predictor: Predictor, sex_unknown: SexUnknown) -> Result:
    """The answer for one file; a file that breaks the reading has failed, and the others go on."""
    from boneage_node.reading.study import read_study

    try:
        return read_study([LocalFile(path)], predictor, sex_required=sex_unknown == "refuse").result()
    except Exception as error:
        return _failure(path, error)


def _fhir_result(path: Path, predictor: Predictor, sex_unknown: SexUnknown) -> tuple[Result, dict[str, Any]]:
    """The answer for one file, and what a FHIR server would be sent."""
    from boneage_node.reading.study import read_study
    from boneage_node.report import Report, fhir_bundle, report_instance_uid

    try:
        reading = read_study([LocalFile(path)], predictor, sex_required=sex_unknown == "refuse")
        radiograph = reading.choice.radiograph
        now = datetime.now().astimezone()
        source = reading.choice.dataset
        try:
            if source is None:
                raise ValueError(reading.choice.refusal)
            uid = report_instance_uid(source, reading.answer, radiograph.pixels if radiograph else None)
            bundle = fhir_bundle(Report(source, reading.answer, uid, now))
        except ValueError as error:  # unreadable, or of no study
            return reading.result(), _outcome("invalid", f"{path}: {error}")
        return reading.result(), bundle
    except Exception as error:
        failure = _failure(path, error)
        return failure, _outcome("exception", f"{path}: {failure.reason}")


def _failure(path: Path, error: Exception) -> Result:
    from boneage_node.logs import class_name

    return Result.failed(str(path), class_name(error))


def _outcome(code: str, diagnostics: str) -> dict[str, Any]:
    """An OperationOutcome, its code one of FHIR's issue types."""
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
