"""A model folder with the shipped model's hand finding and small age networks that have learned nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from boneage_node.bone_age import Sex, model_zoo
from boneage_node.bone_age.manifest import AgeMember, Band, Interval, Manifest, Region
from boneage_node.bone_age.predictor import Predictor, age_network
from boneage_node.models.packing import write_manifest, write_weights

_WHOLE = Region(left=50, top=40, width=1500, height=2000)
FAMILIES = {
    "regions": AgeMember(
        name="A",
        architecture="vgg",
        widths=(4, 4, 8),
        region=_WHOLE,
        height_px=48,
        width_px=36,
        views=2,
        weights={"regression": 0.5, "classification": 0.5},
    ),
    "inception": AgeMember(
        name="inception-1",
        architecture="inception",
        width=0.1,
        region=None,
        height_px=120,
        width_px=120,
        views=10,
        weights={"regression": 1.0},
    ),
}


def tiny_model(folder: Path, family: str = "regions") -> Path:
    """Write the model; gives its folder."""
    shipped = Predictor.load(model_zoo.model_dir(), "cpu")
    member = FAMILIES[family]
    torch.manual_seed(0)
    networks = {name: shipped.networks[name] for name in ("segmentation", "registration", "usual")}
    networks[f"age.{member.name}"] = age_network(member)
    interval = Interval(coverage=0.95, bands={sex: (Band(below_months=240, factor=20),) for sex in Sex})
    known = shipped.manifest
    manifest = Manifest(
        name=f"tiny-{family}",
        version="0",
        summary="For tests.",
        terms="None.",
        weights=write_weights(folder, networks),
        segmentation=known.segmentation,
        registration=known.registration,
        members=(member,),
        plausibility=known.plausibility.model_copy(update={"spread_months": 240.0}),
        interval=interval,
        training={},
        metrics={},
    )
    write_manifest(folder, manifest)
    return folder
