"""The outcome of sending, by whatever protocol: one for each file, or nobody there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from boneage_node.errors import BoneAgeError

from .file import StoredFile

_REMARK_CHARACTERS_MAX = 1000


class Unreachable(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The other side is not there, or takes nothing now; the text says why, for whoever can mend it."""


@dataclass(frozen=True)
class Sent:
    """The outcome of sending a file.

    Attributes:
        file: The file.
        status: The DICOM status (PS3.7 Annex C) that the other side gave it, or None where it gave none.
        error: Why the file is not delivered, in a sentence; None where it is, with or without a warning.
        permanent: Sending it again will not help.
        remark: What the other side says of it in its own words. They may quote what was sent, so they are
            kept with the delivery and never logged.
        warning: What the other side has to say about a file that it took, in a sentence; None where nothing.
    """

    file: StoredFile
    status: int | None
    error: str | None = None
    permanent: bool = False
    remark: str | None = None
    warning: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the other side has it."""
        return self.error is None


def printable(said: Iterable[str]) -> str | None:
    """A remark of what the other side said, as text of one line and of bounded length."""
    text = "".join(character if character.isprintable() else " " for character in "; ".join(said))
    return text[:_REMARK_CHARACTERS_MAX] or None


def unreadable(
    file: StoredFile, error: Exception, kind: str = "a DICOM file with file meta information"
) -> Sent:
    """The outcome for a file that cannot be read: final where it is malformed.

    One that is gone may be back with the rest of the spool when that is mounted again.

    Args:
        file: The file.
        error: What reading it raised.
        kind: What it should be.
    """
    if not isinstance(error, OSError):
        return Sent(file, None, f"The file cannot be read: it is not {kind}.", permanent=True)
    reason = error.strerror or type(error).__name__
    return Sent(file, None, f"The file cannot be read: {reason}.")
