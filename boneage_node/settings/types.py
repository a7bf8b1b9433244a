"""The kinds of value that settings have, and how each is checked."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_settings import NoDecode

from boneage_node.net.addresses import (
    DESTINATION_CHARACTERS_MAX,
    Station,
    checked_base_url,
    checked_destination,
    is_url,
)


def _ae_title(value: str) -> str:
    """Check an AE title: 1 to 16 characters of the default repertoire, no backslash (PS3.5, 6.2)."""
    title = value.strip(" ")
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", title):
        raise ValueError("an AE title is 1 to 16 printable ASCII characters without a backslash")
    return title


def _fhir_destination(value: str) -> str:
    """Check the base URL of a FHIR server, or an absolute folder."""
    value = value.strip()
    if is_url(value):
        return checked_base_url(value)
    if not Path(value).is_absolute() or len(value) > DESTINATION_CHARACTERS_MAX:
        raise ValueError(
            f"'{value}' is neither the base URL of a FHIR server such as https://fhir.example/r4 nor an "
            "absolute folder such as /var/lib/bone-ages"
        )
    return str(Path(value))


def _station(value: str) -> str:
    """Check ``AE@host:port`` or ``AE@host:port/tls``."""
    return str(Station.parse(value))


def _network(value: str) -> str:
    """Check an IP address or a network in CIDR notation, and drop host bits."""
    try:
        return str(ipaddress.ip_network(value.strip(), strict=False))
    except ValueError:
        raise ValueError(f"'{value}' is not an address or network such as 10.0.0.0/24") from None


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda:\d+", value):
        raise ValueError(f"'{value}' is not a device: auto, cpu or cuda:N")
    return value


def _database_url(value: str | None) -> str | None:
    if value is not None and urlsplit(value).scheme not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise ValueError("a database is sqlite:///path or postgresql+psycopg://user@host/name")
    return value


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _split_commas(value: Any) -> Any:
    """Split a list as the environment writes it, ``a,b``."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def default_data_dir() -> Path:
    """``boneage-node`` in the XDG data home, hence ``~/.local/share/boneage-node`` unless told otherwise."""
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return base / "boneage-node"


AETitle = Annotated[str, AfterValidator(_ae_title)]
Destinations = Annotated[
    tuple[Annotated[str, AfterValidator(checked_destination)], ...], NoDecode, BeforeValidator(_split_commas)
]
FhirDestinations = Annotated[
    tuple[Annotated[str, AfterValidator(_fhir_destination)], ...], NoDecode, BeforeValidator(_split_commas)
]
Stations = Annotated[
    tuple[Annotated[str, AfterValidator(_station)], ...], NoDecode, BeforeValidator(_split_commas)
]
AETitles = Annotated[tuple[AETitle, ...], NoDecode, BeforeValidator(_split_commas)]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split_commas)
]
Devices = Annotated[
    tuple[Annotated[str, AfterValidator(_device)], ...],
    Field(min_length=1),
    NoDecode,
    BeforeValidator(_split_commas),
]
File = Annotated[Path, AfterValidator(_absolute), WithJsonSchema({"type": "string", "format": "file-path"})]
Folder = Annotated[Path, AfterValidator(_absolute)]
DatabaseUrl = Annotated[str | None, AfterValidator(_database_url)]
SexUnknown = Literal["refuse", "both"]
SrClass = Literal["comprehensive", "comprehensive-3d"]
