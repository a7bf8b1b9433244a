"""How long to wait before trying again."""

from __future__ import annotations

import random
from datetime import timedelta


def backoff(attempt: int, *, base_seconds: float, cap_seconds: float) -> timedelta:
    """A random wait whose limit doubles with every attempt: exponential backoff with full jitter.

    Full jitter spreads the callers evenly, so that what failed together is not tried again together
    (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

    Args:
        attempt: How many attempts have failed, 1 or more.
        base_seconds: Longest wait after the first.
        cap_seconds: Longest wait after any.
    """
    doublings = min(attempt - 1, 60)
    longest_seconds = min(cap_seconds, base_seconds * 2**doublings)
    return timedelta(seconds=random.uniform(0.0, longest_seconds))  # noqa: S311 - no secret
