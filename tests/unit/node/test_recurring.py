"""Work that recurs goes on whatever fails, and tells whether it comes round."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import OperationalError
from support.waiting import eventually

from boneage_node.node.recurring import ClockWatch, Recurring
from boneage_node.store import DatabaseAvailability


@pytest.fixture
def recurring() -> Iterator[Recurring]:
    stop = threading.Event()
    recurring = Recurring(stop, DatabaseAvailability())
    yield recurring
    stop.set()
    recurring.join()


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT 1", None, Exception()), ZeroDivisionError(), None]
)
def test_comes_round_again_whatever_it_raises(recurring: Recurring, error: Exception | None) -> None:
    rounds: list[int] = []

    def work() -> None:
        rounds.append(1)
        if error is not None:
            raise error

    recurring.start("work", work, 0.001)
    eventually(lambda: len(rounds) > 3)
    eventually(recurring.came_round)


def test_does_not_come_round_while_one_of_them_hangs(recurring: Recurring) -> None:
    goes_on = threading.Event()
    rounds: list[int] = []
    recurring.start("hanging", goes_on.wait, 0.001)
    recurring.start("working", lambda: rounds.append(1), 0.001)
    recurring.start("seldom", threading.Event().is_set, 3600.0, watched=False)
    eventually(lambda: len(rounds) > 3)
    assert not recurring.came_round()
    goes_on.set()
    eventually(recurring.came_round)


def test_tells_by_how_much_a_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"wall": 1000.0, "boot": 50.0}
    monkeypatch.setattr("boneage_node.node.recurring.time.time", lambda: clock["wall"])
    monkeypatch.setattr("boneage_node.node.recurring.time.clock_gettime", lambda _: clock["boot"])
    watch = ClockWatch()
    clock["wall"] += 10
    clock["boot"] += 10
    assert watch.look() == pytest.approx(0.0)
    clock["wall"] -= 60
    assert watch.look() == pytest.approx(-60.0)
    assert watch.look() == pytest.approx(0.0)
    assert watch.trustworthy
    clock["wall"] += 7200
    assert watch.look() == pytest.approx(7200.0)
    assert not watch.trustworthy
