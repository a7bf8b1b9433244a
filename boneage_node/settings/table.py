"""The table of all settings in ``docs/settings.md``, made from ``Settings``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .settings import Settings


def settings_markdown() -> str:
    """Return the text of ``docs/settings.md``: a table of all settings, made from `Settings`."""
    lines = [
        "# Settings",
        "",
        "Written by `python -m boneage_node.settings.table > docs/settings.md`.",
        "",
        "Each setting can be given as a flag of `boneage-node start` (where there is one), as a variable of",
        "the environment (`BONEAGE_` and the name in capitals, lists separated by commas), or in a TOML file",
        "named by `--config` or `BONEAGE_CONFIG`. The first of these three that has it wins.",
        "",
        *settings_table(Settings.model_fields),
    ]
    lines += ["", "## Example", "", "```toml", _EXAMPLE.strip(), "```", ""]
    return "\n".join(lines)


def settings_table(names: Iterable[str]) -> list[str]:
    """Return the lines of a Markdown table of settings."""
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    properties = Settings.model_json_schema()["properties"]
    for name in names:
        field = Settings.model_fields[name]
        if name == "data_dir":
            default = "`~/.local/share/boneage-node`"
        elif field.default is None or field.default == ():
            default = "not set"
        else:
            default = f"`{_as_toml(field.default)}`"
        lines.append(f"| `{name}` | {_type_name(properties[name])} | {default} | {field.description} |")
    return lines


_EXAMPLE = """
ae_title = "BONEAGE"
host = "0.0.0.0"
port = 11112
allowed_ae_titles = ["PACS", "DX_ROOM_1"]
allowed_addresses = ["10.20.0.0/16"]
send_to = ["PACS@10.20.0.5:104"]
database_url = "postgresql+psycopg://boneage@localhost/boneage"
"""


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
