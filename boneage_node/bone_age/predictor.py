"""A model at work: from the pixels of a hand to its assessment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from .assessment import Answer, Assessment, Attention, Hand
from .attention import occlude
from .cropping import FoundHand, member_raster, region_corners
from .finding import HandFinder
from .fingertips import cautions
from .framing import Grey
from .inception import AgeInception
from .interval import ReadAs, intervals
from .manifest import AgeMember, Manifest, ModelError, read_manifest, verified_weights
from .networks import AGE_BINS, AgeNetwork, AgeVgg, HandUNet, KeyPointVgg, folded
from .recognition import Features, KnownHands, nearest, overall, refuse_unrecognised
from .reference import z_score
from .rounding import MONTHS_DIGITS, rounded
from .segmentation import simplified
from .shape import UsualHand, fingers_apart
from .views import Seen, read_views
from .words import Agreement, ReasonCode, Refusal, Sex

MALE = {Sex.MALE: 1.0, Sex.FEMALE: 0.0, None: 0.5}
"""Input of the networks for each sex; None is "not known"."""


def choose_device(device: str) -> torch.device:
    """``auto`` is the first GPU where there is one, else the CPU; ``cpu`` and ``cuda:N`` are themselves.

    Raises:
        ModelError: Where the device is none of these, or the GPU asked for is not there.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"device {device} is none of auto, cpu, cuda:N") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {device} is not there: {torch.cuda.device_count()} GPU found; try --device auto"
        )
    return chosen


def age_network(member: AgeMember) -> AgeNetwork:
    """A member's network, untrained: (images, male) to ``AgeHeads``."""
    return AgeVgg(member.widths) if member.architecture == "vgg" else AgeInception(member.width)


def known_hands(manifest: Manifest) -> dict[str, dict[str, KnownHands]]:
    """The model's test that it sees a hand, by group and network that is asked, with nothing learned."""
    test = manifest.recognition
    if test is None:
        return {}
    asked = [member for member in manifest.members if member.name in test.regions]
    return {
        group: {member.name: KnownHands(2 * member.widths[-1], test.directions) for member in asked}
        for group in test.groups
    }


def known_prefixes(known: Mapping[str, Mapping[str, KnownHands]]) -> dict[str, nn.Module]:
    """What is known of hands, by its prefix in the weights file."""
    return {f"known.{group}.{name}": one for group, own in known.items() for name, one in own.items()}


class SeenHand(NamedTuple):
    """What the networks say of one hand.

    Attributes:
        months: Bone age in months by the sex that they were told, then by member and head, e.g.
            ``"A regression"``.
        features: What each network tells the age by, whatever the sex, shape (1, k), by its name.
    """

    months: Mapping[Sex | None, dict[str, float]]
    features: Mapping[str, Features]


class Predictor:
    """A model in memory.

    Args:
        manifest: The model's manifest.
        finder: Finds hands, with the networks and limits of the model.
        ages: Age network of each member, by name.
        known: What those that ``manifest.recognition`` names know of hands, by group and network.
        device: Where all compute.
        networks: All that the weights file holds but what is known of hands, by its prefix there, as it holds
            them: those above may be folded for reading.

    Attributes:
        identity: Name, version and sha256 that go into every report.
    """

    def __init__(
        self,
        manifest: Manifest,
        finder: HandFinder,
        ages: dict[str, AgeNetwork],
        known: Mapping[str, Mapping[str, KnownHands]],
        device: torch.device,
        networks: dict[str, nn.Module],
    ) -> None:
        self.manifest = manifest
        self.finder = finder
        self.device = device
        self.identity = manifest.identity
        self.networks = networks
        self._ages = ages
        self._known = known

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> Predictor:
        """Load a model folder, its sha256 checked.

        Args:
            folder: Holds ``manifest.json`` and the weights it names.
            device: ``auto``, ``cpu`` or ``cuda:N``.

        Raises:
            ModelError: Where the model or the device cannot be used.
        """
        return cls.of_manifest(folder, read_manifest(folder), device)

    @classmethod
    def of_manifest(cls, folder: Path, manifest: Manifest, device: str = "auto") -> Predictor:
        """As ``load``, for a manifest that is not, or not yet, the one in the folder."""
        file = verified_weights(folder, manifest)
        segmentation = HandUNet(manifest.segmentation.widths)
        registration = KeyPointVgg(manifest.registration.widths)
        usual = UsualHand()
        ages = {member.name: age_network(member) for member in manifest.members}
        known = known_hands(manifest)
        networks = {"segmentation": segmentation, "registration": registration, "usual": usual}
        networks |= {f"age.{name}": network for name, network in ages.items()}
        chosen = choose_device(device)
        try:
            tensors = load_file(file)
            for prefix, network in (networks | known_prefixes(known)).items():
                start = f"{prefix}."
                own = {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
                network.load_state_dict(own)
                network.eval()
        except (RuntimeError, SafetensorError) as error:
            raise ModelError(f"{file} does not hold the networks that its manifest describes") from error
        mask, points = folded(segmentation).to(chosen), folded(registration).to(chosen)
        finder = HandFinder(mask, points, chosen, usual.to(chosen), manifest.plausibility)
        reading = {name: folded(network).to(chosen) for name, network in ages.items()}
        for one in known_prefixes(known).values():
            one.to(chosen)
        return cls(manifest, finder, reading, known, chosen, networks)

    def find(self, pixels: Grey) -> FoundHand | Refusal:
        """The hand in a radiograph, (height, width), float32 in [0, 1], or why there is none to read."""
        with one_thread():
            try:
                return self.finder.find(pixels)
            except Refusal as refusal:
                return refusal

    def assess(
        self, hands: Sequence[Hand], found: Sequence[FoundHand | Refusal] | None = None
    ) -> list[Answer]:
        """Read each hand by itself: what else is read, and on how many threads, does not change its reading.

        Args:
            hands: What to read.
            found: What ``find`` says of each, for callers that asked before.

        Returns:
            For each hand, in order, its assessment, or the refusal of an image without one whole hand, or of
            a hand on which the networks disagree.
        """
        if found is None:
            found = [self.find(hand.pixels) for hand in hands]
        return [
            f if isinstance(f, Refusal) else self.answer(hand, f, self.see(f, _sexes(hand.sex)))
            for hand, f in zip(hands, found, strict=True)
        ]

    def see(self, found: FoundHand, told: Sequence[Sex | None]) -> SeenHand:
        """What the networks say of a hand, told each of these sexes, or that it is not known.

        The members work side by side, each of them on one thread; what does not depend on sex they do once.
        """
        members = self.manifest.members
        rasters = [member_raster(member, found) for member in members]
        male = [[MALE[sex]] for sex in told]

        def look(member: AgeMember, raster: Grey) -> Seen:
            images = torch.from_numpy(raster)[None, None].to(self.device)
            return read_views(self._ages[member.name], images, male, member.views)

        with one_thread(), ThreadPoolExecutor() as threads:
            looks = threads.map(look, members, rasters)
            seen = {member.name: one for member, one in zip(members, looks, strict=True)}
        months: dict[Sex | None, dict[str, float]] = {
            sex: {
                f"{name} {head}": float(age[0])
                for name, one in seen.items()
                for head, age in one.months[number].items()
            }
            for number, sex in enumerate(told)
        }
        return SeenHand(months, {name: one.features for name, one in seen.items()})

    def answer(self, hand: Hand, found: FoundHand, seen: SeenHand) -> Answer:
        """What comes of a hand that was seen as its sex, or as both where that is unknown."""
        try:
            unlikeness = self._recognise(seen.features, found)
        except Refusal as refusal:
            return refusal
        return self._answer(hand, found, {sex: seen.months[sex] for sex in _sexes(hand.sex)}, unlikeness)

    def _recognise(self, features: Mapping[str, Features], found: FoundHand) -> float | None:
        """How unlike known hands one hand is; None where the model has no such test.

        Raises:
            Refusal: ``IMPLAUSIBLE_HAND`` where it is further from them than the model's limit.
        """
        if self.manifest.recognition is None:
            return None
        unlikeness = nearest(self._known, features)
        refuse_unrecognised(unlikeness, self.manifest.recognition, fingers_apart(found))
        return overall(unlikeness)

    def attention(self, hand: Hand, found: FoundHand) -> Attention | None:
        """Attention map of a hand that was found; None where networks read the whole radiograph."""
        male = [MALE[sex] for sex in _sexes(hand.sex)]
        return occlude(self.manifest.members, self._ages, found, male, self.device)

    def ensemble(self, member_months: dict[str, float]) -> tuple[float, float]:
        """The weighted mean of what networks and heads read, kept in range, and their weighted deviation."""
        shares = {
            f"{m.name} {head}": share for m in self.manifest.members for head, share in m.weights.items()
        }
        values = np.array([member_months[name] for name in shares])
        weights = np.array(list(shares.values()))
        mean = float(weights @ values)
        return float(np.clip(mean, 0, AGE_BINS)), float(np.sqrt(weights @ (values - mean) ** 2))

    def _answer(
        self,
        hand: Hand,
        found: FoundHand,
        read: dict[Sex, dict[str, float]],
        unlikeness: float | None,
    ) -> Answer:
        readings = []
        for sex, member_months in read.items():
            months, spread = (rounded(value, MONTHS_DIGITS) for value in self.ensemble(member_months))
            if spread > self.manifest.plausibility.spread_months:
                return Refusal(ReasonCode.READINGS_DISAGREE, f"by {spread:.0f} months")
            readings.append(ReadAs(sex, months, spread))
        bone_age_months = rounded(float(np.mean([one.bone_age_months for one in readings])), MONTHS_DIGITS)
        spread_months = max(one.spread_months for one in readings)
        interval_months, reader_interval_months = intervals(self.manifest.interval, readings)
        age, sex_known = hand.chronological_age_months, hand.sex
        z = z_score(bone_age_months, age, sex_known) if sex_known else None
        return Assessment(
            bone_age_months=bone_age_months,
            interval_months=interval_months,
            interval_coverage=self.manifest.interval.coverage,
            sex=sex_known,
            months_by_sex={one.sex: one.bone_age_months for one in readings},
            member_months={
                name: float(np.mean([members[name] for members in read.values()]))
                for name in next(iter(read.values()))
            },
            chronological_age_months=age,
            z_score=z,
            spread_months=spread_months,
            agreement=self._agreement(spread_months),
            laterality=hand.laterality,
            outline_px=found.in_radiograph(simplified(found.contour, found.mask.shape)),
            key_points_px=found.in_radiograph(found.points_px),
            regions_px=self._regions_px(found),
            model=self.identity,
            cautions=cautions(found),
            unlikeness=unlikeness,
            reader_interval_months=reader_interval_months,
            repeatability_months=self.manifest.repeatability_months,
        )

    def _agreement(self, spread_months: float) -> Agreement:
        usual = spread_months <= self.manifest.plausibility.usual_spread_months
        return Agreement.USUAL if usual else Agreement.LOW

    def _regions_px(self, found: FoundHand) -> dict[str, npt.NDArray[np.float32]]:
        """Corners of the regions in the radiograph; members of one region share the first one's name."""
        names = {member.region: member.name for member in reversed(self.manifest.members) if member.region}
        return {
            name: found.in_radiograph(found.placement.to_image(region_corners(region)))
            for region, name in sorted(names.items(), key=lambda item: item[1])
        }


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: on several, sums are made in an order that depends on how many they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _sexes(sex: Sex | None) -> list[Sex]:
    """The sexes to read a hand as."""
    return list(Sex) if sex is None else [sex]
