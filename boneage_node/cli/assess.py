"""``boneage-node assess``: read files, without any network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from boneage_node.exit_codes import ExitCode
from boneage_node.settings import SexUnknown

from .common import (
    DeviceOption,
    JsonOption,
    ModelOption,
    SexUnknownOption,
    dicom_files,
    print_readings,
    progress_bar,
)


def assess(
    files: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    as_json: JsonOption = False,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    sex_unknown: SexUnknownOption = "refuse",
) -> None:
    """Read the bone age from DICOM files.

    With --json, one object a line: file, sop_instance_uid, status (assessed, refused or failed), reason, sex,
    chronological_age_months, bone_age_months, bone_age_months_by_sex, interval_months, z_score, laterality,
    model, elapsed_ms.

    With --sex-unknown both, a patient of unknown sex has a reading as each sex, their mean as bone age, an
    interval that holds the intervals of both, and no z-score.

    Exit status: 0 when every file was assessed or refused, 1 when one failed.

    Example: boneage-node assess hand.dcm --json
    """
    paths = dicom_files(files)
    # after the files were found: it takes a while to import
    from boneage_node.pipeline import load_predictor

    predictor = load_predictor(model, device)
    results = []
    if as_json:
        for path in paths:
            results.append(_result(path, predictor, sex_unknown))
            typer.echo(json.dumps(results[-1]))
    else:
        with progress_bar("assessing", len(paths)) as advance:
            for done, path in enumerate(paths, 1):
                results.append(_result(path, predictor, sex_unknown))
                advance(done, "")
        print_readings(results, "refused", lambda result: result["reason"] or "")
    if any(result["status"] == "failed" for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _result(path: Path, predictor: Any, sex_unknown: SexUnknown) -> dict[str, Any]:
    """The answer for one file; a file that breaks the reading has failed, and the others go on."""
    from boneage_node.logs import class_name
    from boneage_node.pipeline import RESULT_KEYS, read_study

    try:
        return read_study([path], predictor, sex_required=sex_unknown == "refuse").result()
    except Exception as error:
        return dict.fromkeys(RESULT_KEYS) | {
            "file": str(path),
            "status": "failed",
            "reason": class_name(error),
        }
