"""Writing a trained model as a folder of the zoo: weights, manifest, model card."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from safetensors.torch import save_file
from torch import nn

from boneage_node.bone_age.interval import band_widths, reaching
from boneage_node.bone_age.manifest import MANIFEST_FILE, Manifest, Weights, file_sha256
from boneage_node.evaluation.strata import SEX_NAMES
from boneage_node.evaluation.tables import tables, years

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "MODEL_CARD.md"

_TEMPLATES = Environment(  # noqa: S701 (Markdown, not HTML)
    loader=PackageLoader("boneage_node.models"),
    trim_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)

RSNA_TERMS = (
    "Research use only. Trained on the RSNA 2017 Pediatric Bone Age images, which RSNA makes available for "
    "academic research and education and other non-commercial purposes. Cite: Halabi SS, Prevedello LM, "
    "Kalpathy-Cramer J, et al. The RSNA Pediatric Bone Age Machine Learning Challenge. "
    "Radiology 2018;290(2):498-503."
)


def write_weights(folder: Path, networks: dict[str, nn.Module]) -> Weights:
    """Write the networks' tensors as float16 under their prefixes; says file and sha256."""
    tensors = {
        f"{prefix}.{name}": (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / WEIGHTS_FILE
    save_file(tensors, file)
    return Weights(file=file.name, sha256=file_sha256(file))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` and the model card that says the same to a reader."""
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    card = _TEMPLATES.get_template(CARD_FILE).render(
        manifest=manifest,
        metrics=manifest.metrics,
        challenge=manifest.challenge_test,
        limits=manifest.plausibility,
        interval=manifest.interval,
        tables=tables(manifest.metrics).values() if manifest.metrics else (),
        training=json.dumps(manifest.training, indent=2),
        sex_names=SEX_NAMES,
        band_widths=band_widths(manifest.interval, manifest.plausibility.usual_spread_months),
        years=years,
        reaching=reaching,
        percent="{:.0%}".format,
    )
    (folder / CARD_FILE).write_text(card)
