"""Options of commands for settings, as the fields of the sections declare them: name, type and help."""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from typer.models import OptionInfo

from boneage_node.settings.settings import FIELDS


def option(full_name: str, text: str = "") -> OptionInfo:
    """The option for a setting.

    Args:
        full_name: Section and name, ``storage.data_dir``.
        text: The help, where a command means another thing than `start` does.
    """
    declared = _declared(FIELDS[full_name])
    # readable: a path that cannot be read is a sentence of ours, not a misuse of the command line
    made: OptionInfo = typer.Option(declared["flag"], help=text or declared["help"], readable=False)
    return made


def with_settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every setting that declares one.

    The command takes them together as ``flags``, in sections, as `load_settings` takes them; one that was not
    given is None.
    """
    names = {name.replace(".", "__"): name for name, field in FIELDS.items() if _declared(field)}
    options = [
        inspect.Parameter(
            parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[_type(FIELDS[name]), option(name, _help(FIELDS[name]))],
        )
        for parameter, name in names.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        flags: dict[str, dict[str, Any]] = defaultdict(dict)
        for parameter, full_name in names.items():
            section, name = full_name.split(".")
            flags[section][name] = given.pop(parameter)
        command(flags=flags, **given)

    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "flags"
    ]
    run.__signature__ = signature.replace(parameters=[*options, *own])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in [*options, *own]}
    return run


def _declared(field: FieldInfo) -> dict[str, str]:
    """Name and help of the flag, where the field of a section declares one."""
    extra = field.json_schema_extra
    return {name: str(value) for name, value in extra.items()} if isinstance(extra, dict) else {}


def _help(field: FieldInfo) -> str:
    several = " May be given several times." if get_origin(field.annotation) is tuple else ""
    default = field.default
    if isinstance(default, tuple):
        default = ", ".join(default)
    told = f" Default: {default}." if default and isinstance(default, str | int) else ""
    return _declared(field)["help"] + several + told


def _type(field: FieldInfo) -> Any:
    """The type that the command line reads a value as; the settings check it."""
    if get_origin(field.annotation) is tuple:
        return list[str] | None
    kinds = {get_origin(kind) or kind for kind in (field.annotation, *get_args(field.annotation))}
    kinds |= {get_args(kind)[0] for kind in get_args(field.annotation) if get_origin(kind) is Annotated}
    return next((kind for kind in (bool, int, Path) if kind in kinds), str) | None
