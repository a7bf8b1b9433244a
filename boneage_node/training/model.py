"""A whole training run, from data to model folder, in stages that an interruption does not lose."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from boneage_node.bone_age import model_zoo
from boneage_node.bone_age.finding import HandFinder
from boneage_node.bone_age.manifest import AgeMember, read_manifest
from boneage_node.bone_age.networks import AgeVgg, HandUNet, KeyPointVgg
from boneage_node.bone_age.predictor import Predictor, age_network, choose_device
from boneage_node.datasets.annotations import (
    KEY_POINTS_FILE,
    OUTLINES_FILE,
    KeyPoints,
    data_digest,
    read_key_points,
    read_outlines,
)
from boneage_node.datasets.held_out import held_out_digest
from boneage_node.datasets.rsna import SPLITS, DataError, Example, read_examples
from boneage_node.evaluation import calibration

from .age import FAMILIES, AgeRecipe, AgeTask
from .assembly import Assembly, Stage
from .fitting import Fit, rank_and_world_size, rank_zero_first
from .provenance import Network, begin_folder, load_network, recipe_of, save_network
from .rasters import cut_rasters, raster_inputs, read_rasters
from .recognition import RecognitionRecipe
from .registration import RegistrationRecipe, RegistrationTask, cut_squares, load_or_cut_squares
from .segmentation import SegmentationRecipe, SegmentationRun

DEFAULT_AGE = AgeRecipe(steps=20_000)
_WATCHED = 60
_MASK, _POINTS, _WEIGHTS = "segmentation", "registration", "weights.safetensors"


def finder_recipes(out: Path, seed: int) -> dict[str, SegmentationRecipe | RegistrationRecipe]:
    """Recipes of hand mask and key points, as trained in ``out`` or else by default, for ``ModelRun``."""
    return {
        "segmentation": recipe_of(SegmentationRun.weights(out / _MASK, 0), SegmentationRecipe(seed=seed)),
        "registration": recipe_of(out / _POINTS / _WEIGHTS, RegistrationRecipe(seed=seed)),
    }


@dataclass(frozen=True)
class ModelRun:
    """One training run; each stage takes what the stages before it left in ``out``.

    Attributes:
        data: Folder with the RSNA layout; its ``annotations`` are used where they are there.
        out: Folder for everything the run writes; the finished model is ``out/model``.
        stage: Shows progress.
        family: Key of ``FAMILIES``.
        segmentation, registration, age, recognition: Recipes.
        start: Folder of a model whose weights the age networks begin with; None is random weights.
        device: ``auto``, ``cpu`` or ``cuda:N``; under torchrun, ``auto`` is a GPU a process.
    """

    data: Path
    out: Path
    stage: Stage
    family: str = "regions"
    segmentation: SegmentationRecipe = field(default_factory=SegmentationRecipe)
    registration: RegistrationRecipe = field(default_factory=RegistrationRecipe)
    age: AgeRecipe = DEFAULT_AGE
    recognition: RecognitionRecipe = field(default_factory=RecognitionRecipe)
    start: Path | None = None
    device: str = "auto"

    @cached_property
    def examples(self) -> list[Example]:
        """All labelled radiographs."""
        return read_examples(self.data)

    @property
    def _borrows_finder(self) -> bool:
        return not any((self.data / file).is_file() for file in (OUTLINES_FILE, KEY_POINTS_FILE))

    @property
    def _cut(self) -> list[Example]:
        """The radiographs whose hands the age networks learn from and are watched on."""
        return [example for example in self.examples if example.split != "validation"]

    @property
    def members(self) -> tuple[AgeMember, ...]:
        """The age networks of the family."""
        return FAMILIES[self.family]

    def train_segmentation(self) -> HandUNet:
        """The hand mask of the last round of mining; that of the default model where no outline is there.

        Raises:
            DataError: Where the data is not as expected.
            ModelError: Where there is neither an outline nor a default model.
        """
        if not (self.data / OUTLINES_FILE).is_file():
            return self._default("segmentation", HandUNet)
        run = SegmentationRun(
            read_outlines(self.data / OUTLINES_FILE),
            self.examples,
            self.segmentation,
            self.out / _MASK,
            self._device,
            os.cpu_count() or 1,
        )
        network: HandUNet | None = None
        for number, (title, steps) in enumerate(run.stages()):
            if network is not None and not run.weights(run.out, number).is_file():
                self._mine(run, number, network)
            self._show(title, steps, run.round(number, network))
            network = run.network(number, network)
        assert network is not None
        return network

    def _mine(self, run: SegmentationRun, number: int, before: HandUNet) -> None:
        with self.stage(f"masks for round {number}", len(run.candidates(number))) as advance:
            run.mined(number, before, lambda done: advance(done, ""))

    def train_registration(self) -> KeyPointVgg:
        """The key-point network; that of the default model where no key point is there.

        Raises:
            DataError: Where the data is not as expected.
            ModelError: Where there are neither key points nor a default model.
        """
        if not (self.data / KEY_POINTS_FILE).is_file():
            return self._default("registration", KeyPointVgg)
        marked = read_key_points(self.data / KEY_POINTS_FILE, self.examples)
        torch.manual_seed(self.registration.seed)
        network = KeyPointVgg(self.registration.widths)
        # The hand mask is not in it: the points are only measured with it, not learned from it.
        inputs = {"recipe": asdict(self.registration), "data": data_digest(self.examples, marked)}
        return self._trained(
            _POINTS, network, inputs, lambda folder: self._fit_registration(network, marked, folder)
        )

    def _fit_registration(
        self, network: KeyPointVgg, marked: list[KeyPoints], folder: Path
    ) -> Fit[KeyPointVgg]:
        segmentation = self.train_segmentation().to(self._device)
        train = [m for m in marked if m.example.split == "train"]
        watch = [m for m in marked if m.example.split == "calibration" and m.manual][:_WATCHED]
        with rank_zero_first(), self.stage("key points", len(train)) as advance:
            squares = load_or_cut_squares(
                folder / "squares.npz",
                lambda: cut_squares(train, os.cpu_count() or 1, lambda done: advance(done, "")),
            )
        task = RegistrationTask(squares, watch, segmentation, self.registration, self._device)
        return Fit(network, task, self.registration, folder, self._device)

    def train_age(self, only: str | None = None) -> dict[str, nn.Module]:
        """The age networks by member name, or the one of a member.

        Raises:
            DataError: Where the data is not as expected, or there is no member of that name.
        """
        names = [member.name for member in self.members]
        if only not in (None, *names):
            raise DataError(f"the family {self.family} has no network {only}, but {', '.join(names)}")
        calibration.refuse_small_calibration(self.examples, calibration.COVERAGE)
        finder = self._finder()
        with rank_zero_first(), self.stage("registered hands", len(self._cut)) as advance:
            cut_rasters(
                self._cut,
                finder,
                self.members,
                self.rasters,
                processes=os.cpu_count() or 1,
                progress=lambda done: advance(done, ""),
            )
        networks = {}
        for number, member in enumerate(self.members):
            if only in (None, member.name):
                networks[member.name] = self._train_member(member, number, finder)
        return networks

    def _finder(self) -> HandFinder:
        """What finds the hands: the default model's, with its limits, where no annotations are there."""
        finder = HandFinder(self.train_segmentation(), self.train_registration(), torch.device("cpu"))
        if self._borrows_finder:
            whole = Predictor.load(model_zoo.model_dir(), "cpu").finder
            return replace(finder, usual=whole.usual, limits=whole.limits)
        return finder

    def _train_member(self, member: AgeMember, number: int, finder: HandFinder) -> nn.Module:
        recipe = replace(self.age, seed=self.age.seed + number)
        if self.start:
            recipe = replace(recipe, small_until=0.0)
        torch.manual_seed(recipe.seed)
        network = self._begun(member)

        def fit(folder: Path) -> Fit[nn.Module]:
            cut = read_rasters(self.rasters, member, self._cut)
            task = AgeTask(cut.split("train"), cut.split("calibration"), member, recipe, self._device)
            return Fit(network, task, recipe, folder, self._device)

        inputs: dict[str, Any] = {"recipe": asdict(recipe), "network": member.model_dump()}
        inputs |= raster_inputs(self._cut, finder, self.members)
        if self.start:
            inputs["start"] = str(read_manifest(self.start).identity)
        return self._trained(f"age-{member.name}", network, inputs, fit)

    def _begun(self, member: AgeMember) -> nn.Module:
        """A member's network before the fit: with random weights, or those of the model to start with."""
        if self.start is None:
            return age_network(member)
        others = Predictor.load(self.start, "cpu")
        if f"age.{member.name}" not in others.networks:
            raise DataError(f"{others.manifest.identity} has no network {member.name} to start with")
        network = age_network(member)
        try:
            network.load_state_dict(others.networks[f"age.{member.name}"].state_dict())
        except RuntimeError as error:
            raise DataError(
                f"network {member.name} of {others.manifest.identity} has not the shape of that to be trained"
            ) from error
        if isinstance(network, AgeVgg):
            network.freeze(self.age.frozen_blocks)
        return network

    def finish(self) -> Path:
        """Train what is not trained, calibrate, measure and write the model; gives its folder.

        Raises:
            DataError: Where the data is not as expected.
        """
        segmentation, registration = self.train_segmentation(), self.train_registration()
        ages = self.train_age()
        folder = self.out / "model"
        with rank_zero_first():
            if rank_and_world_size()[0] == 0:
                assembly = Assembly(
                    self.family,
                    segmentation,
                    registration,
                    ages,
                    self.recognition,
                    self.data,
                    self.examples,
                    self.rasters,
                    folder,
                    self.device,
                )
                assembly.write(self._described(), self.stage)
        return folder

    def _described(self) -> dict[str, Any]:
        """Describe the training for the manifest."""
        return {
            "commands": self._commands(),
            "data": "RSNA 2017 Pediatric Bone Age Challenge, training set",
            "images": {name: sum(e.split == name for e in self.examples) for name in SPLITS},
            "held_out_sha256": held_out_digest(self.examples),
            "recipes": {
                "segmentation": asdict(self.segmentation),
                "registration": asdict(self.registration),
                "age": asdict(self.age),
                "recognition": asdict(self.recognition),
            },
        }

    def _commands(self) -> list[str]:
        """Commands that train the same from nothing, defaults spelt out."""
        mask, points, age = self.segmentation, self.registration, self.age
        commands = []
        if (self.data / OUTLINES_FILE).is_file():
            commands.append(
                f"boneage-node train segmentation --steps {mask.steps} --rounds {mask.rounds} "
                f"--round-steps {mask.round_steps} --round-images {mask.round_images} --seed {mask.seed}"
            )
        if (self.data / KEY_POINTS_FILE).is_file():
            commands.append(f"boneage-node train registration --steps {points.steps} --seed {points.seed}")
        whole = (
            f"boneage-node train all --family {self.family} --steps {age.steps} --batch {age.batch} "
            f"--learning-rate {age.learning_rate:g} --seed {age.seed}"
        )
        if self.start:
            whole += f" --start {self.start.name} (of version {read_manifest(self.start).version})"
        return [*commands, whole]

    @property
    def rasters(self) -> Path:
        """Folder of what the family's networks read."""
        return self.out / f"rasters-{self.family}"

    @property
    def _device(self) -> torch.device:
        rank, processes = rank_and_world_size()
        if processes > 1 and self.device.startswith("cuda"):
            raise DataError("under torchrun each process takes a GPU of its own: give --device auto or cpu")
        if processes > 1 and self.device == "auto" and torch.cuda.is_available():
            return choose_device(f"cuda:{int(os.environ.get('LOCAL_RANK', rank))}")
        return choose_device(self.device)

    def _default(self, name: str, kind: type[Network]) -> Network:
        """A network of the default model, as its weights file holds it."""
        network = Predictor.load(model_zoo.model_dir(), "cpu").networks[name]
        assert isinstance(network, kind), "by its name"
        return network

    def _trained(
        self, name: str, network: Network, inputs: dict[str, Any], fit: Callable[[Path], Fit[Network]]
    ) -> Network:
        """A network as trained into ``out/name`` before, or now; ``inputs`` is what it depends on."""
        folder = self.out / name
        file = folder / _WEIGHTS
        if not file.is_file():
            with rank_zero_first():
                begin_folder(folder, inputs)
            now = fit(folder)
            self._show(name.replace("-", " "), now.steps, now.run())
            with rank_zero_first():
                if rank_and_world_size()[0] == 0:
                    save_network(now.average, file, inputs)
        return load_network(network, file, inputs)

    def _show(self, title: str, steps: int, progress: Iterator[tuple[int, float]]) -> None:
        with self.stage(title, steps) as advance:
            for step, loss in progress:
                advance(step, f"loss {loss:.3f}")
