"""The store of a node, opened as the settings name it."""

from __future__ import annotations

from boneage_node.errors import ExitCode, NodeError
from boneage_node.spool.storage import Storage
from boneage_node.store import DatabaseError, SchemaMismatch, Store, database_exists, masked


def open_store(storage: Storage, *, migrate: bool = False) -> Store:
    """Open the store that the settings name.

    Args:
        storage: Where it is.
        migrate: Make or update the database first; else one that is not there or not up to date is refused.

    Raises:
        NodeError: Where the database or the spool folder cannot be used.
    """
    if not migrate and not database_exists(storage.database):
        raise NodeError(
            ExitCode.DATABASE,
            f"There is no database at {masked(storage.database)} yet; `boneage-node start` makes it. If the "
            "node keeps its data elsewhere, name the folder with --data-dir.",
        )
    try:
        return Store.open(
            storage.database,
            storage.spool_dir,
            migrate=migrate,
            reserve_bytes=storage.reserve_bytes,
        )
    except SchemaMismatch as error:
        raise NodeError(ExitCode.DATABASE, str(error)) from error
    except ValueError as error:
        raise NodeError(ExitCode.DATABASE, f"database_url cannot be used: {error}.") from error
    except DatabaseError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        raise NodeError(
            ExitCode.DATABASE, f"The database {masked(storage.database)} cannot be used: {cause}."
        ) from error
    except OSError as error:
        folder = error.filename or storage.spool_dir
        raise NodeError(
            ExitCode.DATA_DIR, f"The folder {folder} cannot be used: {error.strerror}."
        ) from error
