"""``docs/settings.md``, and tables of settings for other documents, made from `Settings`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .settings import FIELDS, FORMER_NAMES, SECTIONS, Settings

_FORMER = {name: former for former, name in FORMER_NAMES.items()}

_INTRODUCTION = """\
# Settings

Written by `python -m boneage_node.settings.table > docs/settings.md`.

Settings stand in sections. Each can be given as a flag of `boneage-node start` (where there is one), as a
variable of the environment (`BONEAGE_`, section and name in capitals: `BONEAGE_LISTENING_PORT`; lists
separated by commas), or in a TOML file named by `--config` or `BONEAGE_CONFIG`, a table for each section.
The first of these three that has it wins.

The names of 0.1.0, which had no sections, still work: in a file above all tables, and in the environment
(`BONEAGE_PORT`). A setting under both names in one place is refused.
"""

_EXAMPLE = """\
## Example

```toml
[listening]
ae_title = "BONEAGE"
host = "0.0.0.0"
port = 11112
allowed_ae_titles = ["PACS", "DX_ROOM_1"]
allowed_addresses = ["10.20.0.0/16"]

[delivery]
send_to = ["PACS@10.20.0.5:104"]

[storage]
database_url = "postgresql+psycopg://boneage@localhost/boneage"
```
"""


def settings_markdown() -> str:
    """Return the text of ``docs/settings.md``: a table for each section."""
    parts = [_INTRODUCTION]
    for section, model in SECTIONS.items():
        lines = ["| setting | type | default | meaning | flag | in 0.1.0 |", "|---|---|---|---|---|---|"]
        for name in model.model_fields:
            full_name = f"{section}.{name}"
            former = f"`{_FORMER[full_name]}`" if full_name in _FORMER else "-"
            flag = _schema(full_name).get("flag")
            lines.append(f"{_row(name, full_name)} {f'`{flag}`' if flag else '-'} | {former} |")
        parts.append(
            "\n".join([f"## `[{section}]`", "", (model.__doc__ or "").partition("\n")[0], "", *lines, ""])
        )
    return "\n".join([*parts, _EXAMPLE])


def settings_table(full_names: Iterable[str]) -> list[str]:
    """Return the lines of a Markdown table of settings of several sections."""
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    return lines + [_row(name, name) for name in full_names]


def _row(title: str, full_name: str) -> str:
    field = FIELDS[full_name]
    if full_name == "storage.data_dir":
        default = "`~/.local/share/boneage-node`"
    elif field.default is None or field.default == ():
        default = "not set"
    else:
        default = f"`{_as_toml(field.default)}`"
    return f"| `{title}` | {_type_name(_schema(full_name))} | {default} | {field.description} |"


def _schema(full_name: str) -> dict[str, Any]:
    section, name = full_name.split(".")
    schema = Settings.model_json_schema()
    definition = schema["properties"][section]["$ref"].rpartition("/")[2]
    properties: dict[str, dict[str, Any]] = schema["$defs"][definition]["properties"]
    return properties[name]


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if "anyOf" in schema:
        schema = next(option for option in schema["anyOf"] if option["type"] != "null")
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    if schema["type"] == "array":
        return "list of texts"
    paths = {"path": "folder", "file-path": "file"}
    return paths.get(schema.get("format", ""), names[schema["type"]])


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_toml(item) for item in value) + "]"
    return (
        f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


if __name__ == "__main__":
    print(settings_markdown(), end="")
