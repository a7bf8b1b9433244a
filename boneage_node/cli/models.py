"""``boneage-node models``: what is in the model zoo."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from boneage_node.exit_codes import ExitCode, NodeError

from .common import JsonOption, out

app = typer.Typer(no_args_is_help=True, help="List the models of the zoo, check their files.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the models, with their error on held-out high-resolution images."""
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import ModelError

    try:
        models = model_zoo.list_models()
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error
    if as_json:
        for folder, manifest in models:
            typer.echo(json.dumps({"folder": str(folder)} | manifest.model_dump(mode="json")))
        return
    table = Table("model", "version", "MAE (months)", "images", "sha256", "")
    for _, manifest in models:
        figures = manifest.metrics.get("age", {}).get("high_resolution", {})
        name = f"{manifest.name} (default)" if manifest.name == model_zoo.DEFAULT_MODEL else manifest.name
        table.add_row(
            name,
            manifest.version,
            str(figures.get("mae_months", "-")),
            str(figures.get("images", "-")),
            manifest.weights.sha256[:12],
            manifest.summary,
        )
    out.print(table)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models or folders. Default: all of the zoo.")
    ] = None,
) -> None:
    """Check that the weights are the files the manifests describe. Exit status 6 when one is not."""
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import ModelError, read_manifest, verified_weights

    try:
        folders = (
            [model_zoo.model_dir(name) for name in names]
            if names
            else [f for f, _ in model_zoo.list_models()]
        )
        for folder in folders:
            manifest = read_manifest(folder)
            verified_weights(folder, manifest)
            out.print(f"{manifest.name} {manifest.version}: the weights are those of the manifest.")
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error
