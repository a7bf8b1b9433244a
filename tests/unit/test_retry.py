"""Backoff with full jitter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boneage_node.retry import RetryPolicy

POLICY = RetryPolicy(max_attempts=3, base_seconds=2, cap_seconds=900)


@given(st.integers(1, 10**9))
def test_never_negative_and_never_above_the_cap(attempt: int) -> None:
    assert 0 <= POLICY.wait(attempt).total_seconds() <= 900


def test_the_limit_doubles_and_the_waits_are_spread_over_all_of_it() -> None:
    for attempt, longest_seconds in [(1, 2), (2, 4), (5, 32), (12, 900)]:
        waits = [POLICY.wait(attempt).total_seconds() for _ in range(500)]
        assert longest_seconds * 0.9 < max(waits) <= longest_seconds
        assert min(waits) < longest_seconds * 0.1


def test_the_longest_wait_is_no_chance() -> None:
    waits = [POLICY.longest_wait(attempt).total_seconds() for attempt in (1, 2, 10, 10**9)]
    assert waits == [2, 4, 900, 900]


def test_the_last_attempt_is_the_one_after_which_nothing_is_tried() -> None:
    assert [POLICY.is_last(attempt) for attempt in (1, 2, 3, 4)] == [False, False, True, True]
