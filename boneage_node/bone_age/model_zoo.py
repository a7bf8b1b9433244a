"""Places of models: the zoo inside an installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from .manifest import MANIFEST_FILE, Manifest, ModelError, read_manifest

DEFAULT_MODEL = "hand-regions"


def zoo_dir() -> Path:
    """The folder that holds one folder a model.

    Raises:
        ModelError: Where the package was installed without its models.
    """
    package = Path(__file__).parent.parent
    for candidate in (package / "model_zoo", package.parent / "model_zoo"):
        if candidate.is_dir():
            return candidate
    raise ModelError(f"no model_zoo in {package}: install boneage-node from its wheel or a whole checkout")


def model_dir(model: str | None = None) -> Path:
    """The folder of a model named as in the zoo, or given as a path; None is the default model.

    Raises:
        ModelError: Where there is none.
    """
    model = model or DEFAULT_MODEL
    for candidate in (zoo_dir() / model, Path(model)):
        if (candidate / MANIFEST_FILE).is_file():
            return candidate
    known = ", ".join(folder.name for folder, _ in list_models()) or "none"
    raise ModelError(f"no model '{model}': the zoo has {known}; a folder with a {MANIFEST_FILE} will do too")


def list_models() -> list[tuple[Path, Manifest]]:
    """Every model of the zoo: its folder and manifest, by name."""
    return [
        (file.parent, read_manifest(file.parent)) for file in sorted(zoo_dir().glob(f"*/{MANIFEST_FILE}"))
    ]
