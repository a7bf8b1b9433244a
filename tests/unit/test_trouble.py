"""Trouble that comes and goes is said when it begins and when it is over, and fills no log."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from boneage_node.logs import Trouble


@pytest.fixture
def watch() -> list[float]:
    return [0.0]


@pytest.fixture
def trouble(watch: list[float]) -> Trouble:
    return Trouble("database away", "database back", clock=lambda: watch[0])


def run(trouble: Trouble, watch: list[float], well: list[bool], step_seconds: float) -> list[Any]:
    with capture_logs() as logged:
        for each in well:
            trouble.well() if each else trouble.met(error="X")
            watch[0] += step_seconds
    return [dict(line) for line in logged]


def test_is_said_once_and_over_once_it_has_been_well_for_a_while(
    trouble: Trouble, watch: list[float]
) -> None:
    logged = run(trouble, watch, [True, False, False, False, True, True, True, True, True], 2.0)
    assert logged == [
        {"event": "database away", "error": "X", "log_level": "error"},
        {"event": "database back", "seconds": 4.0, "times": 3, "log_level": "info"},
    ]
    assert not trouble.lasts


def test_going_and_coming_twice_a_second_for_a_day_is_one_line(trouble: Trouble, watch: list[float]) -> None:
    logged = run(trouble, watch, [False, True] * 86400, 0.5)
    assert len(logged) == 1
    assert trouble.lasts


def test_going_for_a_second_in_every_minute_for_a_day_fills_no_log(
    trouble: Trouble, watch: list[float]
) -> None:
    logged = run(trouble, watch, ([False] + [True] * 59) * 1440, 1.0)
    assert len(logged) < 12


def test_trouble_after_a_long_time_is_news_again(trouble: Trouble, watch: list[float]) -> None:
    rounds = [False, True, True, False, True, True]
    assert len(run(trouble, watch, rounds, 7200.0)) == 4
    assert len(run(trouble, watch, [False, *[True] * 6], 1.0)) == 2, "not longer waited for than at first"
