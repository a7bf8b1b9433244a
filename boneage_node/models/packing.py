"""Writing a trained model as a folder of the zoo: weights, manifest, model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from boneage_node.bone_age.manifest import MANIFEST_FILE, Manifest, Weights, file_sha256
from boneage_node.evaluation.tables import Table, tables

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


def _markdown(table: Table) -> str:
    """A table as Markdown, its title above it and its note below."""
    head = [" ".join(column.split("\n")) for column in table.columns]
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *table.rows)]
    parts = [
        f"**{table.title}**",
        "\n".join(f"| {line} |" for line in lines) if table.rows else "",
        table.note,
    ]
    return "\n\n".join(part for part in parts if part)


def _command(model: str, metrics: Mapping[str, Any]) -> str:
    """What prints the figures."""
    asked = " --stress" if metrics.get("stress") else ""
    if phantoms := metrics.get("phantoms"):
        asked += f" --phantoms {phantoms['phantoms']}"
    return f"boneage-node evaluate --data RSNA{asked} --model {model}"


def _figures(manifest: Manifest) -> str:
    """What ``evaluate`` found, in its own tables."""
    if not manifest.metrics:
        return "Not measured."
    shown = "\n\n".join(_markdown(table) for table in tables(manifest.metrics).values())
    independence = manifest.metrics.get("doubt") or (
        "Neither weights nor shares, intervals or limits depend on these images."
    )
    return f"""`{_command(manifest.name, manifest.metrics)}` on the validation split.
{independence} Errors in months against the challenge's labels;
coverage is that of the {manifest.interval.coverage:.0%} interval. High-resolution images (400 pixels or
more) are what a node sees; the others are thumbnails.

{shown}"""


def _interval_rows(manifest: Manifest) -> str:
    rows = []
    for sex, bands in manifest.interval.bands.items():
        low = 0.0
        for band in bands:
            last = band is bands[-1]
            ages = (
                f"{low / 12:g} years and over"
                if last
                else f"{low / 12:g} to {band.below_months / 12:g} years"
            )
            rows.append(f"| {'boys' if sex == 'M' else 'girls'} | {ages} | ±{band.half_width_months} |")
            low = band.below_months
    return "\n".join(rows)


def _member_rows(manifest: Manifest) -> str:
    return "\n".join(
        f"| {member.name} {head} | {member.architecture} | {member.height_px} x {member.width_px} "
        f"| {share:.3f} |"
        for member in manifest.members
        for head, share in member.weights.items()
    )


def _card(manifest: Manifest) -> str:
    limits = manifest.plausibility
    return f"""# Model card: {manifest.name} {manifest.version}

{manifest.summary}

## Use
Bone age (Greulich and Pyle) from a PA radiograph of a child's hand, sex known from the header. A second
opinion for research, never a diagnosis. Not for adults, not for hands that are cut off or deformed.

## Terms
{manifest.terms}

## Figures
{_figures(manifest)}

## Networks
Shares of the ensemble were fitted on the calibration split, which no weight of a network depends on.

| network and head | architecture | raster, px | share |
|---|---|---|---|
{_member_rows(manifest)}

## Interval
Split-conformal on the same split, the shares fitted on the other folds each time; by sex and by the bone age
that was read, in months.

| sex | bone age read | half width |
|---|---|---|
{_interval_rows(manifest)}

## Refused
- a hand whose registered mask overlaps the usual one by less than {limits.overlap:.0%};
- a second thing like a hand, of more than {limits.second_component:.0%} of its size;
- more than {limits.cut_off:.0%} of the hand's length along the image's border beyond the wrist;
- networks that disagree by more than {limits.spread_months:.0f} months (standard deviation).

## Training
```json
{json.dumps(manifest.training, indent=2)}
```

## What is weak
- Most training images were thumbnails, and the networks are small.
- Under 2 and over 17 years there were few examples.
- Trained on one public collection from two hospitals; not tried on hands of other populations or with
  diseases of the skeleton.
"""
