"""Assembly of trained networks into a model folder: weights, calibration, figures, card."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from torch import nn

from boneage_node.bone_age import Sex, model_zoo
from boneage_node.bone_age.manifest import (
    Band,
    Interval,
    Manifest,
    Plausibility,
    RegistrationNetwork,
    SegmentationNetwork,
    read_manifest,
)
from boneage_node.bone_age.networks import AGE_BINS, HandUNet, KeyPointVgg
from boneage_node.bone_age.predictor import Predictor, known_prefixes
from boneage_node.bone_age.shape import UsualHand
from boneage_node.datasets.annotations import KEY_POINTS_FILE, OUTLINES_FILE
from boneage_node.datasets.held_out import BORROWED, HELD_OUT, reason_to_doubt, split_differs
from boneage_node.datasets.rsna import DataError, Example
from boneage_node.evaluation import calibration
from boneage_node.evaluation.finding import finding_figures
from boneage_node.evaluation.readings import Reading, read_all
from boneage_node.evaluation.report import Evaluation
from boneage_node.models.packing import RSNA_TERMS, write_manifest, write_weights

from .age import FAMILIES
from .rasters import read_array
from .recognition import REGIONS, RecognitionRecipe, asked, chosen, learn_hands

Advance = Callable[[int, str], None]
Stage = Callable[[str, int], AbstractContextManager[Advance]]
"""Opens a progress bar (title, total) and gives a function (done, note) that moves it."""

VERSION = "0.4.0"

_NAMES = {
    "regions": (
        "hand-regions",
        "A U-Net finds the hand, three key points register it; VGG-like networks (ELU, sex as an input, "
        "regression and classification) read the whole hand, the carpal bones, metacarpals with proximal "
        "phalanges, and the fingers' further phalanges.",
    ),
    "inception": (
        "inception",
        "A U-Net and three key points tell whether there is one whole hand; five Inception v3 networks with "
        "sex as an input read the whole radiograph in ten views.",
    ),
}


@dataclass(frozen=True)
class Assembly:
    """Trained networks that become a model.

    Attributes:
        family: Key of ``FAMILIES``.
        segmentation: Hand-mask network.
        registration: Key-point network.
        ages: By member name.
        recognition: Recipe by which the networks learn what a hand is.
        data: Folder with the RSNA layout.
        examples: All its radiographs.
        rasters: Folder of what the age networks read.
        folder: For the model.
        device: ``auto``, ``cpu`` or ``cuda:N``.
    """

    family: str
    segmentation: HandUNet
    registration: KeyPointVgg
    ages: dict[str, nn.Module]
    recognition: RecognitionRecipe
    data: Path
    examples: list[Example]
    rasters: Path
    folder: Path
    device: str

    @property
    def _parts_borrowed(self) -> list[str]:
        """The networks that are another model's, for want of annotations, in words."""
        files = {"the hand mask": OUTLINES_FILE, "the key points": KEY_POINTS_FILE}
        return [part for part, file in files.items() if not (self.data / file).is_file()]

    def _borrowed(self) -> dict[str, Any]:
        """Describe for the manifest what is borrowed, and whose it is."""
        parts = self._parts_borrowed
        if not parts:
            return {}
        lender = read_manifest(model_zoo.model_dir())
        told = {"parts": parts, "model": str(lender.identity), HELD_OUT: lender.training.get(HELD_OUT)}
        return {BORROWED: told}

    def _shape(self) -> tuple[UsualHand, Plausibility]:
        """The usual hand and the limits on shape: of the finder's model where all of that is borrowed."""
        if len(self._parts_borrowed) == 2:
            finder = Predictor.load(model_zoo.model_dir(), "cpu").finder
            assert finder.usual, "a model has one"
            assert finder.limits, "a model has them"
            return finder.usual, finder.limits.model_copy(update=calibration.UNLIMITED_SPREAD)
        usual = UsualHand()
        masks = of_training("mask", self.rasters, self.examples)
        usual.learn(masks)
        return usual, calibration.limits(usual, masks)

    def write(self, training: dict[str, Any], stage: Stage) -> None:
        """Write weights, manifest and card; the figures are those of the weights as written."""
        usual, limits = self._shape()
        networks: dict[str, nn.Module] = {
            "segmentation": self.segmentation,
            "registration": self.registration,
            "usual": usual,
        }
        networks |= {f"age.{member}": network for member, network in self.ages.items()}
        weights = write_weights(self.folder, networks)
        name, summary_text = _NAMES[self.family]
        manifest = Manifest(
            name=name,
            version=VERSION,
            summary=summary_text,
            terms=RSNA_TERMS,
            weights=weights,
            segmentation=SegmentationNetwork(widths=self.segmentation.widths),
            registration=RegistrationNetwork(widths=self.registration.widths),
            members=FAMILIES[self.family],
            plausibility=limits,
            interval=Interval(
                coverage=calibration.COVERAGE,
                bands={sex: (Band(below_months=AGE_BINS, factor=1),) for sex in Sex},
            ),
            training=training | self._borrowed(),
            metrics={},
        )
        manifest = with_recognition(
            self.folder, manifest, self.examples, self.recognition, stage, self.device
        )
        readings = self._read("calibration", self._predictor(manifest), stage)
        manifest = calibration.with_unlikeness(manifest, readings)
        manifest = calibration.calibrate(manifest, calibration.recognised(manifest, readings))
        metrics = self._measured(manifest, stage).figures()
        write_manifest(self.folder, manifest.model_copy(update={"metrics": metrics}))

    def _read(self, split: str, predictor: Predictor, stage: Stage, *, untold: bool = False) -> list[Reading]:
        return read_split(split, self.examples, predictor, stage, untold=untold)

    def _measured(self, manifest: Manifest, stage: Stage) -> Evaluation:
        """Evaluate on the validation split, as ``boneage-node evaluate`` does."""
        predictor = self._predictor(manifest)
        return Evaluation(
            manifest,
            "validation",
            self._read("validation", predictor, stage, untold=True),
            finding_figures(predictor.finder, self.data, self.examples),
            doubt=reason_to_doubt(manifest, self.examples),
        )

    def _predictor(self, manifest: Manifest) -> Predictor:
        return Predictor.of_manifest(self.folder, manifest, self.device)


def read_split(
    split: str, examples: list[Example], predictor: Predictor, stage: Stage, *, untold: bool = False
) -> list[Reading]:
    """Read a split as the node does, with the weights as written."""
    part = [example for example in examples if example.split == split]
    with stage(split, len(part)) as advance:
        return read_all(predictor, part, lambda done: advance(done, ""), untold=untold)


def with_recognition(
    folder: Path,
    manifest: Manifest,
    examples: list[Example],
    recipe: RecognitionRecipe,
    stage: Stage,
    device: str,
) -> Manifest:
    """Let the networks in a folder learn what a hand is, and write that into its weights, too.

    Gives the manifest with a limit that nothing crosses yet; as it is where no network can be asked.
    """
    if not asked(manifest.members):
        return manifest
    predictor = Predictor.of_manifest(folder, manifest, device)
    part = chosen(examples, recipe)
    with stage("what a hand is", len(part) + recipe.drawn) as advance:
        known, recognition = learn_hands(predictor, part, recipe, lambda done: advance(done, ""))
    weights = write_weights(folder, predictor.networks | known_prefixes(known))
    update = {"weights": weights, "recognition": recognition}
    return manifest.model_copy(update=update)


def add_recognition(
    model: Path, folder: Path, examples: list[Example], recipe: RecognitionRecipe, stage: Stage, device: str
) -> Manifest:
    """Write a model into another folder, with a test that it sees a hand; its ages and intervals stay.

    The figures are left out: they are no longer those of the model.

    Args:
        model: Folder of the model; its own test, where it has one, is learned anew.
        folder: For the result.
        examples: All radiographs of the data.
        recipe: How.
        stage: Shows progress.
        device: ``auto``, ``cpu`` or ``cuda:N``.

    Raises:
        DataError: Where the data is split otherwise than in the model's training, or none of its networks
            can be asked.
    """
    old = read_manifest(model).model_copy(update={"recognition": None})
    if not asked(old.members):
        raise DataError(f"no network of {old.name} reads one of the regions {', '.join(REGIONS)}")
    if split_differs(old, examples):
        raise DataError(reason_to_doubt(old, examples))
    weights = write_weights(folder, Predictor.of_manifest(model, old, "cpu").networks)
    manifest = old.model_copy(update={"version": VERSION, "weights": weights, "metrics": {}})
    manifest = with_recognition(folder, manifest, examples, recipe, stage, device)
    readings = read_split("calibration", examples, Predictor.of_manifest(folder, manifest, device), stage)
    manifest = calibration.with_unlikeness(manifest, readings)
    command = f"boneage-node train recognition --model {old.name} (of version {old.version})"
    training = manifest.training | {
        "commands": [*manifest.training.get("commands", []), command],
        "recipes": manifest.training.get("recipes", {}) | {"recognition": asdict(recipe)},
    }
    manifest = manifest.model_copy(update={"training": training})
    write_manifest(folder, manifest)
    return manifest


def of_training(name: str, rasters: Path, examples: list[Example]) -> npt.NDArray[Any]:
    """An array of the rasters (``rasters.read_array``), of the images that are trained on alone."""
    train = {example.id for example in examples if example.split == "train"}
    chosen = [identity in train for identity in read_array(rasters, "ids")]
    return read_array(rasters, name)[chosen]
