"""The whole-hand model from data to zoo folder, in stages that an interruption does not lose."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from boneage_node.bone_age import Sex, model_zoo
from boneage_node.bone_age.manifest import AgeNetwork, Interval, Manifest, SegmentationNetwork
from boneage_node.bone_age.networks import HandUNet
from boneage_node.bone_age.predictor import Predictor, choose_device

from .age import AgeFit, AgeRecipe, Crops, cut_crops, load_or_cut_crops
from .data import SPLITS, Example, read_examples, read_outlines
from .evaluation import Reading, half_width_months, read_all, refuse_small_calibration, summary
from .segmentation import fit_segmentation, overlap, split_outlines
from .shipping import RSNA_TERMS, write_manifest, write_weights

Advance = Callable[[int, str], None]
Stage = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a progress bar (title, total) and gives a function (done, note) that moves it."""

MODEL_NAME = "whole-hand"
VERSION = "0.1.0"
_COVERAGE = 0.95


@dataclass(frozen=True)
class WholeHandRun:
    """One training run.

    Attributes:
        data: Folder with the RSNA layout.
        out: Folder for everything the run writes; the finished model is ``out/model``.
        recipe: Of the age network.
        segmentation_steps: Optimiser steps of the hand-mask network.
        outlines: JSON of hand-drawn outlines; None takes the hand-mask network of the default model.
        device: ``auto``, ``cpu`` or ``cuda:N``.
    """

    data: Path
    out: Path
    recipe: AgeRecipe
    segmentation_steps: int
    outlines: Path | None
    device: str = "auto"

    def run(self, stage: Stage) -> Path:
        """Train, measure, write; gives the model's folder.

        Raises:
            DataError: Where the data is not as expected.
            ModelError: Where the hand-mask network is to come from a model that cannot be used.
        """
        examples = read_examples(self.data)
        refuse_small_calibration(examples, _COVERAGE)
        self.out.mkdir(parents=True, exist_ok=True)
        segmentation, training, metrics = self._segmentation(examples, stage)
        fit = self._fit(examples, segmentation, stage)
        training |= {
            "data": "RSNA 2017 Pediatric Bone Age Challenge, training set",
            "images": {name: sum(e.split == name for e in examples) for name in SPLITS},
            "recipe": asdict(self.recipe),
        }
        folder = self.out / "model"
        manifest = Manifest(
            name=MODEL_NAME,
            version=VERSION,
            summary="A U-Net finds the hand; a VGG-like network (ELU, sex as an input) reads its age.",
            terms=RSNA_TERMS,
            weights=write_weights(folder, {"segmentation": segmentation, "age": fit.average.network}),
            segmentation=SegmentationNetwork(widths=segmentation.widths),
            age=AgeNetwork(
                widths=self.recipe.widths, height_px=self.recipe.height_px, width_px=self.recipe.width_px
            ),
            interval=Interval(coverage=_COVERAGE, half_width_months=dict.fromkeys(Sex, 0.0)),
            training=training,
            metrics=metrics,
        )
        write_manifest(folder, self._measured(folder, manifest, examples, stage))
        return folder

    def _segmentation(
        self, examples: list[Example], stage: Stage
    ) -> tuple[HandUNet, dict[str, Any], dict[str, Any]]:
        """The hand-mask network, how it was trained, and what it was measured at."""
        if self.outlines is None:
            folder = model_zoo.model_dir()
            predictor = Predictor.load(folder, "cpu")
            return predictor.segmentation, {"segmentation": f"taken from {predictor.identity}"}, {}
        train, held_out = split_outlines(read_outlines(self.outlines))
        file = self.out / "segmentation.safetensors"
        if file.is_file():
            network = HandUNet()
            network.load_state_dict(load_file(file))
            network.eval()
        else:
            with stage("hand mask", self.segmentation_steps) as advance:
                network = fit_segmentation(
                    train,
                    examples,
                    steps=self.segmentation_steps,
                    seed=self.recipe.seed,
                    progress=lambda step, loss: advance(step + 1, f"loss {loss:.3f}"),
                )
            save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)
        overlaps = np.array(overlap(network, held_out, examples))
        metrics = {
            "images": len(overlaps),
            "mean_iou": round(float(overlaps.mean()), 3),
            "least_iou": round(float(overlaps.min()), 3),
        }
        training = {"outlines": len(train), "steps": self.segmentation_steps, "seed": self.recipe.seed}
        return network, {"segmentation": training}, {"segmentation": metrics}

    def _fit(self, examples: list[Example], segmentation: HandUNet, stage: Stage) -> AgeFit:
        """The age network, trained to the end of its recipe."""

        def cut() -> Crops:
            with stage("crops", len(examples)) as advance:
                return cut_crops(
                    examples,
                    segmentation,
                    self.recipe,
                    processes=os.cpu_count() or 1,
                    progress=lambda done: advance(done, ""),
                )

        crops = load_or_cut_crops(self.out / "crops.npz", cut, examples)
        device = choose_device(self.device)
        fit = AgeFit(crops.split("train"), crops.split("calibration"), self.recipe, self.out, device)
        with stage("age network", self.recipe.steps) as advance:
            for step, loss in fit.run():
                advance(step, f"loss {loss:.3f}")
        return fit

    def _measured(self, folder: Path, manifest: Manifest, examples: list[Example], stage: Stage) -> Manifest:
        """The manifest with interval and validation figures, both of the weights as written."""

        def readings(split: str) -> list[Reading]:
            part = [example for example in examples if example.split == split]
            predictor = Predictor.of_manifest(folder, manifest, self.device)
            with stage(split, len(part)) as advance:
                return read_all(predictor, part, lambda done: advance(done, ""))

        widths = half_width_months(readings("calibration"), _COVERAGE)
        manifest = manifest.model_copy(
            update={"interval": Interval(coverage=_COVERAGE, half_width_months=widths)}
        )
        metrics = manifest.metrics | {"age": summary(readings("validation"))}
        return manifest.model_copy(update={"metrics": metrics})
