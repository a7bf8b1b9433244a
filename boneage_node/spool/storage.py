"""Where the node keeps what it receives and makes: a section of the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field


def default_data_dir() -> Path:
    """``boneage-node`` in the XDG data home, hence ``~/.local/share/boneage-node`` unless told otherwise."""
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return base / "boneage-node"


def _database_url(value: str | None) -> str | None:
    """Check that a URL is of a database that the node can use."""
    if value is not None and urlsplit(value).scheme not in {"sqlite", "postgresql", "postgresql+psycopg"}:
        raise ValueError("a database is sqlite:///path or postgresql+psycopg://user@host/name")
    return value


Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
DatabaseUrl = Annotated[str | None, AfterValidator(_database_url)]


class Storage(BaseModel, frozen=True, extra="forbid"):
    """Where the node keeps what it receives and makes."""

    data_dir: Folder = Field(
        default_factory=default_data_dir,
        description="Where the spool and the embedded database live. Holds patient data.",
        json_schema_extra={"flag": "--data-dir", "help": "Where the node keeps what it receives."},
    )
    database_url: DatabaseUrl = Field(
        None,
        description="SQLAlchemy URL of the database (`postgresql+psycopg://...`). "
        "Not set: SQLite in `data_dir`.",
        json_schema_extra={
            "flag": "--database-url",
            "help": "postgresql+psycopg://user@host/name, or SQLite.",
        },
    )
    reserve_mib: int = Field(
        512, ge=0, description="Disk space in MiB kept free: below it C-STORE is refused with 0xA700."
    )

    @property
    def database(self) -> str:
        """The URL in use: `database_url`, or SQLite in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir / 'boneage.sqlite3'}"

    @property
    def spool_dir(self) -> Path:
        """Folder of the received and the written files."""
        return self.data_dir / "spool"

    @property
    def reserve_bytes(self) -> int:
        """`reserve_mib` in bytes."""
        return self.reserve_mib * 1024 * 1024
