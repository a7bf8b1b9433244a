"""What ``replay`` keeps: of each file the report that came back, and a picture drawn from it."""

from __future__ import annotations

import shutil
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread

from .bone_age import Assessment, Laterality, ModelIdentity, ReasonCode, Refusal, Sex, model_zoo
from .bone_age.manifest import read_manifest
from .radiograph import read_pixels
from .report import draw_picture, draw_refusal_picture, read_outline


class Gallery:
    """A folder of reports and pictures, named after the files they are of.

    Args:
        folder: Where they are kept; made where it is missing.
        received: Folder of the reports as they came back.
        model: The model that read; None for the default.
    """

    def __init__(self, folder: Path, received: Path, model: str | None) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._reports = {
            str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): path
            for path in sorted(received.iterdir())
        }
        self._names: set[str] = set()
        self._manifest = read_manifest(model_zoo.model_dir(model))

    def keep(self, file: Path, result: dict[str, Any], report_instance_uid: str) -> dict[str, str | None]:
        """Keep a report and its picture; gives their paths as ``report`` and ``picture``."""
        name = self._free_name(file.stem)
        report = self._folder / f"{name}.sr.dcm"
        shutil.copyfile(self._reports[report_instance_uid], report)
        picture = self._folder / f"{name}.png"
        self._draw(file, report, result).save(picture)
        return {"report": str(report), "picture": str(picture)}

    def _free_name(self, stem: str) -> str:
        """The stem, or where a file from another folder has it already, the stem and a number."""
        numbered = (f"{stem}-{number}" for number in count(2))
        name = next(name for name in chain([stem], numbered) if name not in self._names)
        self._names.add(name)
        return name

    def _draw(self, file: Path, report: Path, result: dict[str, Any]) -> Image.Image:
        if result["status"] == "refused":
            return draw_refusal_picture(_pixels_if_any(file), Refusal(ReasonCode(result["reason"])))
        weights = self._manifest.weights
        assessment = Assessment(
            bone_age_months=result["bone_age_months"],
            interval_months=tuple(result["interval_months"]),
            interval_coverage=self._manifest.interval.coverage,
            sex=Sex(result["sex"]) if result["sex"] else None,
            months_by_sex={Sex(sex): age for sex, age in result["bone_age_months_by_sex"].items()},
            member_months={},  # neither in the report nor in the picture, as the key points below
            chronological_age_months=result["chronological_age_months"],
            z_score=result["z_score"],
            laterality=Laterality(result["laterality"]) if result["laterality"] else None,
            outline_px=read_outline(dcmread(report)),
            key_points_px=np.empty((0, 2), np.float32),
            model=ModelIdentity(self._manifest.name, self._manifest.version, weights.sha256),
        )
        return draw_picture(read_pixels(file), assessment)


def _pixels_if_any(file: Path) -> Any:
    """The grey image of a file, or None where it cannot be decoded."""
    try:
        return read_pixels(file)
    except Refusal:
        return None
