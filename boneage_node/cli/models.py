"""``boneage-node models``: list, show and verify the models of the zoo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from boneage_node.errors import ExitCode, NodeError

from .common import JsonOption, out, plain_table

if TYPE_CHECKING:
    from boneage_node.bone_age.manifest import Manifest, Region

app = typer.Typer(no_args_is_help=True, help="List the models of the zoo, show one, check their files.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the models, with their error on held-out high-resolution images."""
    from boneage_node.bone_age import model_zoo

    with _model_errors_as_sentences():
        models = model_zoo.list_models()
    if as_json:
        for folder, manifest in models:
            typer.echo(_json(folder, manifest))
        return
    table = plain_table("model", "MAE, months", "images", "weights (sha256)")
    for _, manifest in models:
        figures = manifest.metrics.get("figures", {}).get("high_resolution", {})
        table.add_row(
            f"{manifest.name} {manifest.version}",
            *(str(figures.get(name, "-")) for name in ("mae_months", "images")),
            manifest.weights.sha256[:12],
        )
    out.print(table)
    for _, manifest in models:
        default = " (default)" if manifest.name == model_zoo.DEFAULT_MODEL else ""
        networks = ", ".join(member.name for member in manifest.members)
        out.print(f"\n{manifest.name}{default}: {manifest.summary} Networks {networks}.", highlight=False)


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="Model or folder. Default: the zoo's own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model reads and with which networks, its intervals, and what it refuses."""
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import read_manifest

    with _model_errors_as_sentences():
        folder = model_zoo.model_dir(name)
        manifest = read_manifest(folder)
    if as_json:
        typer.echo(_json(folder, manifest))
        return
    out.print(
        f"{manifest.name} {manifest.version}, sha256 {manifest.weights.sha256[:12]}\n{manifest.summary}\n"
    )
    out.print(_networks(manifest), "", _intervals(manifest), "")
    limits = manifest.plausibility
    out.print(
        f"Refused: overlap with the usual hand below {limits.overlap:.0%}, a second hand above "
        f"{limits.second_component:.0%}, more than {limits.fingers_at_border} fingers at the image's border, "
        f"more than {limits.missing.wrist:.0%} of the wrist beyond it, deviation "
        f"of its networks above {limits.spread_months:.1f} months{_unrecognised(manifest)}."
    )
    out.print(f"Terms: {manifest.terms}")


def _unrecognised(manifest: Manifest) -> str:
    test = manifest.recognition
    return f", {test.unlikeness:g} times as unlike known hands as a usual one" if test else ""


def _json(folder: Path, manifest: Manifest) -> str:
    return json.dumps({"folder": str(folder)} | manifest.model_dump(mode="json"))


def _networks(manifest: Manifest) -> Table:
    table = plain_table("network", "kind", "raster, px", "views", "region", "share")
    for member in manifest.members:
        table.add_row(
            member.name,
            member.architecture,
            f"{member.height_px} x {member.width_px}",
            str(member.views),
            _region(member.region),
            "\n".join(f"{head} {share:.2f}" for head, share in member.weights.items()),
        )
    return table


def _region(region: Region | None) -> str:
    """A region as rows and columns of the registered hand's frame."""
    if region is None:
        return "whole radiograph"
    bottom, right = region.top + region.height, region.left + region.width
    return f"rows {region.top:.0f}-{bottom:.0f}, columns {region.left:.0f}-{right:.0f}"


def _intervals(manifest: Manifest) -> Table:
    """Half widths by sex and band, from hands on which the networks agree to those on which they do not."""
    from boneage_node.bone_age.interval import band_widths, reaching

    coverage = f"{manifest.interval.coverage:.0%} interval, months"
    told = manifest.interval.reader_sd_months is not None
    columns = (coverage, "of a reader's label") if told else (coverage,)
    table = plain_table("sex", "bone age, months", *columns)
    for band in band_widths(manifest.interval, manifest.plausibility.usual_spread_months):
        low, high = band.from_months, band.to_months
        reach = f"from {low:.0f}" if high is None else f"{low:.0f} to {high:.0f}"
        widths = (band.bone_age_months, band.label_months)
        table.add_row(str(band.sex), reach, *(reaching(width) for width in widths if width is not None))
    return table


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models or folders. Default: all of the zoo.")
    ] = None,
) -> None:
    """Check that the weights are the files the manifests describe. Exit status 6 when one is not."""
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import read_manifest, verified_weights

    with _model_errors_as_sentences():
        named = [model_zoo.model_dir(name) for name in names or ()]
        for folder in named or [folder for folder, _ in model_zoo.list_models()]:
            manifest = read_manifest(folder)
            verified_weights(folder, manifest)
            out.print(f"{manifest.name} {manifest.version}: the weights are those of the manifest.")


@contextmanager
def _model_errors_as_sentences() -> Iterator[None]:
    from boneage_node.bone_age.manifest import ModelError

    try:
        yield
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error
