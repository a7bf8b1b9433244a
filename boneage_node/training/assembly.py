"""From trained networks to a model folder: what calibration sets, what validation measures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from boneage_node.bone_age import Sex
from boneage_node.bone_age.manifest import (
    AgeMember,
    Interval,
    Manifest,
    Plausibility,
    RegistrationNetwork,
    SegmentationNetwork,
)
from boneage_node.bone_age.networks import HandUNet, KeyPointVgg
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.shape import UsualHand

from . import calibration
from .age import FAMILIES, predict
from .data import Example, Marked, Outline
from .evaluation import read_all, summary
from .rasters import read_array, read_rasters
from .registration import point_figures
from .segmentation import overlap_figures
from .shipping import RSNA_TERMS, write_manifest, write_weights

Advance = Callable[[int, str], None]
Stage = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a progress bar (title, total) and gives a function (done, note) that moves it."""

VERSION = "0.2.0"
_SECOND_COMPONENT = 0.3
_SPREAD_MARGIN = 1.25

_NAMES = {
    "regions": (
        "hand-regions",
        "A U-Net finds the hand, three key points register it; VGG-like networks (ELU, sex as an input, "
        "regression and classification) read the whole hand, the carpal bones, and metacarpals with proximal "
        "phalanges.",
    ),
    "inception": (
        "inception",
        "A U-Net and three key points tell whether there is one whole hand; five Inception v3 networks with "
        "sex as an input read the whole radiograph in ten views.",
    ),
}


@dataclass(frozen=True)
class Annotated:
    """What the hand's finding is measured on.

    Attributes:
        outlines: All hand-drawn outlines; the held-out ones are chosen among them.
        marked: Radiographs of the validation split that a person marked.
    """

    outlines: list[Outline]
    marked: list[Marked]


@dataclass(frozen=True)
class Assembly:
    """Networks that are trained, to become a model.

    Attributes:
        family: Key of ``FAMILIES``.
        segmentation: Hand-mask network.
        registration: Key-point network.
        ages: By member name.
        examples: All radiographs.
        rasters: Folder of what the age networks read.
        folder: For the model.
        device: ``auto``, ``cpu`` or ``cuda:N``.
    """

    family: str
    segmentation: HandUNet
    registration: KeyPointVgg
    ages: dict[str, nn.Module]
    examples: list[Example]
    rasters: Path
    folder: Path
    device: str

    def write(self, training: dict[str, Any], annotated: Annotated, stage: Stage) -> None:
        """Write weights, manifest and card; the figures are those of the weights as written."""
        usual = UsualHand()
        masks = read_array(self.rasters, "mask")
        usual.learn(masks)
        networks: dict[str, nn.Module] = {
            "segmentation": self.segmentation,
            "registration": self.registration,
            "usual": usual,
        }
        networks |= {f"age.{member}": network for member, network in self.ages.items()}
        weights = write_weights(self.folder, networks)
        members, interval, spread_months = self._calibrated()
        name, summary_text = _NAMES[self.family]
        manifest = Manifest(
            name=name,
            version=VERSION,
            summary=summary_text,
            terms=RSNA_TERMS,
            weights=weights,
            segmentation=SegmentationNetwork(widths=self.segmentation.widths),
            registration=RegistrationNetwork(widths=self.registration.widths),
            members=members,
            plausibility=self._limits(usual, masks, spread_months),
            interval=interval,
            training=training,
            metrics={},
        )
        predictor = Predictor.of_manifest(self.folder, manifest, self.device)
        metrics = self._hand_metrics(predictor, annotated)
        part = [example for example in self.examples if example.split == "validation"]
        with stage("validation", len(part)) as advance:
            metrics["age"] = summary(read_all(predictor, part, lambda done: advance(done, "")))
        write_manifest(self.folder, manifest.model_copy(update={"metrics": metrics}))

    def _calibrated(self) -> tuple[tuple[AgeMember, ...], Interval, float]:
        """Shares, interval, and the limit on the members' spread, all from the calibration split."""
        read: dict[str, npt.NDArray[np.float32]] = {}
        columns = None
        for member in FAMILIES[self.family]:
            columns = read_rasters(self.rasters, member.name, self.examples).split("calibration")
            ages = predict(self.ages[member.name], columns, member, torch.device("cpu"))
            read |= {f"{member.name} {head}": months for head, months in ages.items()}
        assert columns is not None
        table = np.stack(list(read.values()), axis=1).astype(np.float64)
        labels, male = columns.ages_months.astype(np.float64), columns.male > 0.5
        shares = calibration.fit_shares(table, labels, columns.sharp)
        ages_read = calibration.cross_fitted(table, labels, columns.sharp)
        interval = Interval(
            coverage=calibration.COVERAGE,
            bands={
                sex: calibration.bands(ages_read[chosen], labels[chosen])
                for sex, chosen in ((Sex.FEMALE, ~male), (Sex.MALE, male))
            },
        )
        spread = np.sqrt(np.maximum((table - ages_read[:, None]) ** 2 @ shares, 0))
        members = calibration.weighted(FAMILIES[self.family], dict(zip(read, shares, strict=True)))
        return members, interval, _SPREAD_MARGIN * calibration.high_limit(spread)

    def _limits(self, usual: UsualHand, masks: npt.NDArray[np.uint8], spread_months: float) -> Plausibility:
        """Limits that about two in a thousand of the training hands cross, each."""
        overlaps = [usual.overlap_of(mask / np.float32(255)) for mask in masks]
        cut_off = read_array(self.rasters, "cut_off").astype(np.float64)
        return Plausibility(
            overlap=calibration.low_limit(np.array(overlaps)),
            second_component=_SECOND_COMPONENT,
            cut_off=calibration.high_limit(cut_off),
            spread_months=round(spread_months, 2),
        )

    def _hand_metrics(self, predictor: Predictor, annotated: Annotated) -> dict[str, Any]:
        """Hand mask and key points on what they were not trained on, where there is any."""
        finder = predictor.finder
        metrics: dict[str, Any] = {}
        if annotated.outlines:
            metrics["segmentation"] = overlap_figures(finder.segmentation, annotated.outlines, self.examples)
        if annotated.marked:
            metrics["registration"] = point_figures(
                finder.registration, finder.segmentation, annotated.marked, finder.device
            )
        return metrics
