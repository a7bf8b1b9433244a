"""The store of a node, opened as the settings name it."""

from __future__ import annotations

import os

from boneage_node.errors import ExitCode, NodeError
from boneage_node.spool.storage import Storage
from boneage_node.store import DatabaseError, SchemaMismatch, Store, database_exists, masked, trouble


def open_store(storage: Storage, *, migrate: bool = False, read_only: bool = False) -> Store:
    """Open the store that the settings name.

    Args:
        storage: Where it is.
        migrate: Make or update the database first; else one that is not there or not up to date is refused.
        read_only: Make and change nothing on this machine's disk, for commands that only look: root, too, may
            call them without leaving files behind that the node's own user cannot write.

    Raises:
        NodeError: Where the database or the spool folder cannot be used.
    """
    try:
        if not migrate and not database_exists(storage.database):
            raise NodeError(
                ExitCode.DATABASE,
                f"There is no database at {masked(storage.database)} yet; `boneage-node start` makes it. If "
                "the node keeps its data elsewhere, name the folder with --data-dir, or the settings file "
                "with --config.",
            )
        return Store.open(
            storage.database,
            storage.spool_dir,
            migrate=migrate,
            reserve_bytes=storage.reserve_bytes,
            read_only=read_only,
        )
    except SchemaMismatch as error:
        raise NodeError(ExitCode.DATABASE, str(error)) from error
    except ValueError as error:
        raise NodeError(ExitCode.DATABASE, f"database_url cannot be used: {error}.") from error
    except DatabaseError as error:
        found = trouble(error)
        raise NodeError(
            ExitCode.DATABASE_AWAY if found.away else ExitCode.DATABASE,
            f"The database {masked(storage.database)} cannot be used: {found.cause}.",
        ) from error
    except OSError as error:
        raise unusable(str(error.filename or storage.spool_dir), error) from error


def unusable(path: str, error: OSError) -> NodeError:
    """The error for a file or folder of the node's data that cannot be used."""
    # A folder is asked for where a file lies (EEXIST), or below one (ENOTDIR).
    file = isinstance(error, FileExistsError | NotADirectoryError)
    cause = "a file is there, and a folder is needed" if file else error.strerror
    who = f" (asked by user {os.geteuid()})" if isinstance(error, PermissionError) else ""
    return NodeError(
        ExitCode.DATA_DIR, f"{path} cannot be used: {cause}{who}. Name another folder with --data-dir."
    )
