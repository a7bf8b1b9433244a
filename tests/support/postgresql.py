"""A PostgreSQL cluster that is private to the tests and gone after them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import psycopg
import pytest


class PostgreSQL:
    """A PostgreSQL cluster in a temporary folder, reachable through a Unix socket alone.

    It runs as ``postgres`` (or ``nobody``) where the tests run as root, which PostgreSQL refuses to.

    Args:
        pg_ctl: Path of ``pg_ctl``; ``initdb`` is taken from beside it.
    """

    def __init__(self, pg_ctl: str) -> None:
        self._programs = Path(pg_ctl).resolve().parent
        # Not pytest's own folder: its parents are closed to other users, and a socket's path must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._as_user: dict[str, object] = {}
        if os.geteuid() == 0:
            user = "postgres" if _user_exists("postgres") else "nobody"
            shutil.chown(self._folder, user)
            self._as_user = {"user": user, "extra_groups": []}

    def start(self) -> Self:
        """Make the cluster and start it; returns when it answers."""
        data = self._folder / "data"
        self._run(
            "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"
        )
        # Durability is PostgreSQL's own to test; without it the tests spare the disk.
        # Its time zone is nobody's, so that a test fails where one is taken for UTC.
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "timezone": "Asia/Kathmandu",
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "-D", data, "-w", "-l", self._folder / "log", "-o", options, "start")
        return self

    def stop(self) -> None:
        """Stop the cluster and remove it."""
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """URL of a database, for SQLAlchemy."""
        return f"postgresql+psycopg://tests@/{database}?host={self._folder}"

    def new_database(self, encoding: str = "UTF8") -> str:
        """URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(
            f"host={self._folder} user=tests dbname=postgres", autocommit=True
        ) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}'")
        return self.url(name)

    def empty(self, url: str) -> None:
        """Empty a database for the next test: much cheaper than a new one, which is a thousand files."""
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    def dump_schema(self, url: str) -> str:
        """The schema of a database as SQL, without the table of Alembic's."""
        name = url.removeprefix("postgresql+psycopg://tests@/").split("?")[0]
        arguments = ["-h", self._folder, "-U", "tests", "--schema-only", "-T", "alembic_version", name]
        return self._run("pg_dump", *arguments)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, program: str, *arguments: object) -> str:
        # Output goes to a file: the server inherits it, and a pipe would stay open as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            result = subprocess.run(
                [self._programs / program, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._as_user,
            )
            output.seek(0)
            said = output.read()
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed ({result.returncode}): {said}")
        return said


def _user_exists(name: str) -> bool:
    return subprocess.run(["id", name], capture_output=True).returncode == 0


@pytest.fixture(scope="session")
def postgresql(require_peer: Callable[[str], str]) -> Iterator[PostgreSQL]:
    """The cluster."""
    with PostgreSQL(require_peer("postgresql")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgresql_url(postgresql: PostgreSQL) -> str:
    """URL of a database that the tests of the store empty and use one after the other."""
    return postgresql.new_database()
