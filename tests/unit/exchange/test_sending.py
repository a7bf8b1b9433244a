"""A file that cannot be read now is another matter than one that never will be."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from pydicom.errors import InvalidDicomError

from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import unreadable


@pytest.mark.parametrize(
    ("error", "permanent", "reason"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), False, "No such file"),
        (InvalidDicomError(), True, "it is not a DICOM file"),
        (OSError(errno.EIO, "Input/output error"), False, "Input/output error"),
        (PermissionError(errno.EACCES, "Permission denied"), False, "Permission denied"),
    ],
)
def test_only_a_file_that_is_malformed_is_given_up(error: Exception, permanent: bool, reason: str) -> None:
    """One that is gone may be on a disk that is away."""
    sent = unreadable(LocalFile(Path("report.dcm")), error)
    assert (sent.delivered, sent.permanent) == (False, permanent)
    assert sent.error is not None
    assert reason in sent.error
