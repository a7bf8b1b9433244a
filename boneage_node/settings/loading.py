"""Settings from the command line, the environment and a TOML file."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from boneage_node.errors import BoneAgeError

from .settings import ENVIRONMENT_PREFIX, FIELDS, FORMER_NAMES, Settings, variable_name

CONFIG_VARIABLE = "BONEAGE_CONFIG"

_NOT_SETTINGS = {CONFIG_VARIABLE, "BONEAGE_REQUIRE_PEERS"}
"""Variables with our prefix that are no settings: where the file is, and what the tests insist on."""
_FULL_NAMES = {name: name for name in FIELDS} | FORMER_NAMES
"""From the names that are understood to the full name of the setting that each stands for."""
_VARIABLES = {variable_name(spelled): name for spelled, name in _FULL_NAMES.items()}


class SettingsError(BoneAgeError):
    """Settings that cannot be used; the text is one sentence (or more) for the person who wrote them."""


@dataclass(frozen=True)
class _Given:
    """A value as somebody gave it.

    Attributes:
        spelled: The name it was given by.
        source: Where: "the environment", or the name of the file.
        value: The value.
    """

    spelled: str
    source: str
    value: Any


def load_settings(config: Path | None = None, **flags: Any) -> Settings:
    """Merge flags, environment and TOML file, in this order of precedence.

    Args:
        config: The TOML file; without one, the file that ``BONEAGE_CONFIG`` names, if any.
        flags: Settings from the command line as a file would have them: sections by name, each a mapping of
            values by name. None and empty sequences are flags not given.

    Raises:
        SettingsError: A file that is not there or not TOML, a name that is no setting, a value that does
            not fit.

    """
    if config is None and os.environ.get(CONFIG_VARIABLE):
        config = Path(os.environ[CONFIG_VARIABLE])
    given = {} if config is None else _of_file(config)
    given |= _by_full_name("the environment", _known_variables(), _VARIABLES)
    spelled = {name: value for name, value in _flat(flags).items() if value not in (None, [], ())}
    given |= _by_full_name("the command line", spelled, _FULL_NAMES)
    sections: dict[str, dict[str, Any]] = defaultdict(dict)
    for full_name, one in given.items():
        section, name = full_name.split(".")
        sections[section][name] = _split_commas(full_name, one.value)
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error, given))) from None


def unknown_variables() -> list[str]:
    """Return a sentence for each environment variable with the node's prefix that is no setting."""
    sentences = []
    for variable in sorted(os.environ):
        ours = variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_SETTINGS
        if ours and variable not in _VARIABLES:
            nearest = _nearest(variable.removeprefix(ENVIRONMENT_PREFIX).lower())
            meant = f" Did you mean {variable_name(nearest)}?" if nearest else ""
            sentences.append(f"The environment variable {variable} is no setting.{meant}")
    return sentences


def _of_file(path: Path) -> dict[str, _Given]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from None
    spelled = _flat(values)
    unknown = [name for name in spelled if name not in _FULL_NAMES]
    if unknown:
        raise SettingsError("\n".join(_unknown_name(path, name) for name in unknown))
    return _by_full_name(str(path), spelled, _FULL_NAMES)


def _known_variables() -> dict[str, str]:
    return {variable: value for variable, value in os.environ.items() if variable in _VARIABLES}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of values as values by ``table.name``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        )
    return flat


def _by_full_name(
    source: str, spelled: Mapping[str, Any], full_names: Mapping[str, str]
) -> dict[str, _Given]:
    """Values by the full names of their settings.

    Raises:
        SettingsError: A setting is given by its name and by its former name.
    """
    given: dict[str, _Given] = {}
    for name, value in spelled.items():
        full_name = full_names[name]
        if full_name in given:
            other = given[full_name].spelled
            raise SettingsError(
                f"'{other}' and '{name}' (both from {source}) are two names of one setting: leave one out."
            )
        given[full_name] = _Given(name, source, value)
    return given


def _split_commas(full_name: str, value: Any) -> Any:
    """Split a list as the environment writes it, ``a,b``."""
    if get_origin(FIELDS[full_name].annotation) is tuple and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _nearest(name: str) -> str | None:
    """The full name of the setting that a name which is none may have been meant for."""
    names = {one.partition(".")[2]: one for one in FIELDS} | _FULL_NAMES
    names |= {one.replace(".", "_"): one for one in FIELDS}
    wanted = name.replace("-", "_")
    alone = wanted.rpartition(".")[2]
    if alone in names:
        return names[alone]
    matches = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    return names[matches[0]] if matches else None


def _unknown_name(path: Path, name: str) -> str:
    if name in Settings.model_fields:
        return f"The settings file {path} sets '{name}', which is a table: write [{name}] above its settings."
    nearest = _nearest(name)
    meant = f" Did you mean '{nearest}'?" if nearest else " See docs/settings.md for all of them."
    return f"The settings file {path} sets '{name}', which is no setting.{meant}"


def _sentences(error: ValidationError, given: Mapping[str, _Given]) -> Iterable[str]:
    """One sentence an error: which setting, from where, what is wrong with it."""
    for problem in error.errors(include_url=False, include_context=False):
        full_name = ".".join(map(str, problem["loc"][:2]))
        one = given[full_name]
        reason = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        # a URL may hold a password, so it is not shown
        secret = full_name == "storage.database_url" or re.search("://.*@", str(problem["input"]))
        value = "" if secret else f" {problem['input']!r}"
        yield f"The setting {one.spelled}{value} (from {one.source}) is not valid: {reason}."
