"""The base of all errors, the exit statuses of ``boneage-node``, and the error that leads to one."""

from __future__ import annotations

from enum import IntEnum


class BoneAgeError(Exception):
    """Base of every exception that this package defines."""


class ExitCode(IntEnum):
    """Exit statuses of all commands."""

    OK = 0
    """Done; for ``start``: stopped as asked."""
    FAILED = 1
    """Something asked for was not done, or the doctor found something."""
    USAGE = 2
    """A flag or a setting is wrong."""
    UNSAFE = 3
    """The node would listen to everyone, and was not told to."""
    PORT = 4
    """The address cannot be listened on: in use, not ours, or not allowed."""
    DATABASE = 5
    """The database cannot be used: damaged, of a later version, not to be written, or no database."""
    MODEL = 6
    """The model, or the device it should run on, is missing or damaged."""
    DATA_DIR = 7
    """The data folder cannot be written, or another node is using it."""
    TLS = 8
    """A certificate, key or CA file is missing, cannot be read, does not fit, or has expired."""
    DATABASE_AWAY = 9
    """The database server does not answer, or another program keeps the database locked."""

    @property
    def may_mend_itself(self) -> bool:
        """Whether the same start may succeed later: what was missing comes back, or lets go of the port.

        The other statuses wait for a person; a service manager that repeats them floods the log
        (``RestartPreventExitStatus`` in deploy/boneage-node.service).
        """
        return self in {ExitCode.FAILED, ExitCode.PORT, ExitCode.DATABASE_AWAY}


class NodeError(BoneAgeError):
    """Something a person has to mend before the node can do what was asked.

    Args:
        code: Exit status it leads to.
        sentence: What is wrong and how to mend it, for the person; never patient data.
    """

    def __init__(self, code: ExitCode, sentence: str) -> None:
        self.code = code
        self.sentence = sentence
        super().__init__(code, sentence)

    def __str__(self) -> str:
        return self.sentence
