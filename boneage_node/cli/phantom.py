"""``boneage-node phantom``: draw studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import out


def phantom(
    folder: Annotated[Path, typer.Argument(help="Where to write the studies.")] = Path("phantoms"),
) -> None:
    """Draw the sample studies: hands of known age and sex, and what a node must refuse.

    `boneage-node replay` without files draws the same, and keeps the reports alone.

    Example: boneage-node phantom my-samples && boneage-node assess my-samples
    """
    from boneage_node.phantom.samples import write_samples

    written = write_samples(folder)
    out.print(f"{len(written)} studies are in {folder}.")
