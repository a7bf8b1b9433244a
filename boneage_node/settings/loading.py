"""Settings from the command line, the environment and a TOML file."""

from __future__ import annotations

import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from boneage_node.errors import BoneAgeError
from boneage_node.logs import LogSettings

from .settings import ENVIRONMENT_PREFIX, FIELDS, FORMER_NAMES, SECTIONS, Settings, variable_name
from .suggestions import names_of, nearest, section_of

CONFIG_VARIABLE = "BONEAGE_CONFIG"
ALL_SETTINGS = "python -m boneage_node.settings.table"
"""What lists all settings wherever the package is installed; the documents are in a checkout alone."""

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
    config = _config(config)
    given = {} if config is None else _of_file(config)
    given |= _of_environment() | _of_flags(flags)
    sections: dict[str, dict[str, Any]] = defaultdict(dict)
    for full_name, one in given.items():
        section, name = full_name.split(".")
        sections[section][name] = _split_commas(full_name, one.value)
    try:
        return Settings(**sections)
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error, given))) from None


def load_log_settings(config: Path | None = None, **flags: Any) -> LogSettings:
    """The form of the log as far as it can be made out, for what `load_settings` has to say against others.

    Args:
        config: As of `load_settings`.
        flags: As of `load_settings`.
    """
    values: dict[str, Any] = {}
    path = _config(config)
    try:
        from_file = {} if path is None else _flat(_read_toml(path))
        values = {_FULL_NAMES[name]: value for name, value in from_file.items() if name in _FULL_NAMES}
        values |= {name: one.value for name, one in (_of_environment() | _of_flags(flags)).items()}
        return LogSettings(
            **{name: values[f"logs.{name}"] for name in LogSettings.model_fields if f"logs.{name}" in values}
        )
    except (SettingsError, ValidationError):
        return LogSettings()


def unknown_variables() -> list[str]:
    """Return a sentence for each environment variable with the node's prefix that is no setting.

    They are told and no error: other programs name theirs as they like, and Kubernetes makes variables such
    as ``BONEAGE_SERVICE_HOST`` for a service called boneage.
    """
    sentences = []
    for variable in sorted(os.environ):
        ours = variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_SETTINGS
        if ours and variable not in _VARIABLES:
            meant = _meant(variable.removeprefix(ENVIRONMENT_PREFIX), variable_name)
            sentences.append(f"The environment variable {variable} is no setting and has no effect.{meant}")
    return sentences


def _config(config: Path | None) -> Path | None:
    if config is None and os.environ.get(CONFIG_VARIABLE):
        return Path(os.environ[CONFIG_VARIABLE])
    return config


def _of_environment() -> dict[str, _Given]:
    known = {variable: value for variable, value in os.environ.items() if variable in _VARIABLES}
    return _by_full_name("the environment", known, _VARIABLES)


def _of_flags(flags: Mapping[str, Any]) -> dict[str, _Given]:
    spelled = {name: value for name, value in _flat(flags).items() if value not in (None, [], ())}
    return _by_full_name("the command line", spelled, _FULL_NAMES)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # Windows' editors write a byte order mark in front.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(
            f"The settings file {path} is not TOML: line {line} is not in UTF-8. Save it as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from None


def _of_file(path: Path) -> dict[str, _Given]:
    spelled = _flat(_read_toml(path))
    unknown = [name for name in spelled if name not in _FULL_NAMES]
    if unknown:
        raise SettingsError("\n".join(_unknown_name(path, name) for name in unknown))
    return _by_full_name(str(path), spelled, _FULL_NAMES)


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


def _meant(spelled: str, form: Callable[[str], str]) -> str:
    """What a name that is none may have been meant for, as a sentence to be appended.

    Args:
        spelled: The name.
        form: Writes the full name of a setting as it would stand there.
    """
    meant = nearest(spelled)
    if meant:
        return f" Did you mean {' or '.join(map(form, meant))}?"
    section = section_of(spelled)
    if section is not None:
        return f" [{section}] has {', '.join(names_of(section))}."
    return f" All settings: {ALL_SETTINGS}."


def _unknown_name(path: Path, name: str) -> str:
    if name in SECTIONS:
        return f"The settings file {path} sets '{name}', which is a table: write [{name}] above its settings."
    return f"The settings file {path} sets '{name}', which is no setting.{_meant(name, repr)}"


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
