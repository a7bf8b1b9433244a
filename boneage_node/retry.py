"""Policy of trying again: how often, and after what wait."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter: a random wait whose limit doubles with every attempt.

    Full jitter spreads the callers evenly, so that what failed together is not tried again together
    (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).

    Attributes:
        max_attempts: After so many failed attempts nothing is tried any more.
        base_seconds: Longest wait after the first failed attempt.
        cap_seconds: Longest wait after any.
    """

    max_attempts: int
    base_seconds: float
    cap_seconds: float

    def longest_wait(self, attempt: int) -> timedelta:
        """The limit of the wait after an attempt, of which the first is 1."""
        doublings = min(attempt - 1, 60)
        return timedelta(seconds=min(self.cap_seconds, self.base_seconds * 2**doublings))

    def wait(self, attempt: int) -> timedelta:
        """The wait after a failed attempt, of which the first is 1."""
        return random.uniform(0.0, 1.0) * self.longest_wait(attempt)  # noqa: S311 - no secret

    def is_last(self, attempt: int) -> bool:
        """Whether nothing is tried after this attempt, of which the first is 1."""
        return attempt >= self.max_attempts
