"""Where the tests find the repository and its drawn studies."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def sample_dicom() -> Path:
    """The folder of drawn studies."""
    return REPOSITORY / "sample_dicom"
