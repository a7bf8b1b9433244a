"""The one way to wait in tests: patient, so that a loaded machine makes a test slow and not red."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 120.0
"""How long anything may take that should be there in a moment."""


def eventually(what: Callable[[], Answer], patience_seconds: float = PATIENCE_SECONDS) -> Answer:
    """Ask again and again until the answer is true; gives that answer."""
    deadline = time.monotonic() + patience_seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"it did not come to be in {patience_seconds:g} seconds"
        time.sleep(0.02)
    return answer
