"""Settings from the command line, the environment and a TOML file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from boneage_node.errors import BoneAgeError

from .settings import ENVIRONMENT_PREFIX, Settings

CONFIG_VARIABLE = "BONEAGE_CONFIG"


_NOT_SETTINGS = {CONFIG_VARIABLE, "BONEAGE_REQUIRE_PEERS"}
"""Variables with our prefix that are no settings: where the file is, and what the tests insist on."""


class SettingsError(BoneAgeError):
    """Settings that cannot be used; the text is one sentence (or more) for the person who wrote them."""


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Merge flags, environment and TOML file, in this order of precedence.

    Args:
        config: The TOML file; without one, the file that ``BONEAGE_CONFIG`` names, if any.
        flags: Settings from the command line by name; None and empty sequences are flags not given.

    Raises:
        SettingsError: A file that is not there or not TOML, a name that is no setting, a value that does
            not fit.

    """
    if config is None and os.environ.get(CONFIG_VARIABLE):
        config = Path(os.environ[CONFIG_VARIABLE])
    given = {
        name: value for name, value in flags.items() if value is not None and value != [] and value != ()
    }
    sources = [
        ("the command line", given),
        ("the environment", EnvSettingsSource(Settings)()),
        (str(config), _read_toml(config) if config is not None else {}),
    ]
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, values in reversed(sources):
        merged.update(values)
        origin.update(dict.fromkeys(values, source))
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error, origin))) from None


def unknown_variables() -> list[str]:
    """Return a sentence for each environment variable with the node's prefix that is no setting."""
    sentences = []
    for variable in sorted(os.environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        ours = variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_SETTINGS
        if ours and name not in Settings.model_fields:
            nearest = _nearest(name)
            meant = f" Did you mean {ENVIRONMENT_PREFIX}{nearest.upper()}?" if nearest else ""
            sentences.append(f"The environment variable {variable} is no setting.{meant}")
    return sentences


def _nearest(name: str) -> str | None:
    matches = difflib.get_close_matches(name.replace("-", "_"), Settings.model_fields, n=1, cutoff=0.5)
    return matches[0] if matches else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from None
    unknown = [name for name in values if name not in Settings.model_fields]
    if unknown:
        raise SettingsError("\n".join(_unknown_key(path, name) for name in unknown))
    return values


def _unknown_key(path: Path, name: str) -> str:
    nearest = _nearest(name)
    meant = f" Did you mean '{nearest}'?" if nearest else " See docs/settings.md for all of them."
    return f"The settings file {path} sets '{name}', which is no setting.{meant}"


def _sentences(error: ValidationError, origin: dict[str, str]) -> Iterable[str]:
    """One sentence an error: which setting, from where, what is wrong with it."""
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            yield f"'{name}' is no setting."
            continue
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        # a URL may hold a password, so it is not shown
        secret = name == "database_url" or re.search("://.*@", str(problem["input"]))
        value = "" if secret else f" {problem['input']!r}"
        yield f"The setting {name}{value} (from {origin.get(name, 'the defaults')}) is not valid: {reason}."
