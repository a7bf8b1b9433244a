"""Writing a trained model as a folder of the zoo: weights, manifest, model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from boneage_node.bone_age.manifest import MANIFEST_FILE, Manifest, Weights, file_sha256

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "MODEL_CARD.md"

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
    (folder / CARD_FILE).write_text(_card(manifest))


def _row(name: str, figures: dict[str, Any]) -> str:
    cells = [name, figures["images"], figures["refused"]]
    for key in (
        "mae_months",
        "median_absolute_error_months",
        "rmse_months",
        "bias_months",
        "interval_coverage",
    ):
        cells.append(figures.get(key, "-"))
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _card(manifest: Manifest) -> str:
    widths = ", ".join(
        f"±{width} months for {'boys' if sex == 'M' else 'girls'}"
        for sex, width in manifest.interval.half_width_months.items()
    )
    rows = "\n".join(
        _row(name.replace("_", " "), figures) for name, figures in manifest.metrics["age"].items()
    )
    overlap = manifest.metrics.get("segmentation")
    segmentation = (
        f"Hand mask: mean IoU {overlap['mean_iou']} (least {overlap['least_iou']}) on {overlap['images']} "
        "hand-drawn outlines kept out of training."
        if overlap
        else "Hand mask: taken from the model named under training."
    )
    return f"""# Model card: {manifest.name} {manifest.version}

{manifest.summary}

## Use
Bone age (Greulich and Pyle) from a PA radiograph of a child's hand, sex known from the header. A second
opinion for research, never a diagnosis. Not for adults, not for hands that are cut off or deformed.

## Terms
{manifest.terms}

## Figures
`boneage-node evaluate --data RSNA --model {manifest.name}` on the validation split, which neither the weights
nor the intervals depend on. Errors in months against the challenge's labels; coverage is that of the
{manifest.interval.coverage:.0%} interval. High-resolution images (400 pixels or more) are what a node sees;
the others are thumbnails.

| images | n | refused | MAE | median | RMSE | bias | coverage |
|---|---|---|---|---|---|---|---|
{rows}

{segmentation}

Interval: split-conformal, {widths}, from calibration images that no weight depends on.

## Training
`boneage-node train whole-hand --data RSNA`

```json
{json.dumps(manifest.training, indent=2)}
```

## What is weak
- One interval for every age: too wide for some ages and too narrow for others.
- A mask and a whole-hand crop, no registration: a strongly rotated hand, or one with a long forearm, is
  read less well.
- Most training images were thumbnails, and the networks are small.
- Under 2 and over 17 years there were few examples.
"""
