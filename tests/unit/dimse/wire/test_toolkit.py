"""What is set of pynetdicom for the whole process."""

from __future__ import annotations

import time

import pytest
from pynetdicom.timer import Timer

from boneage_node.dimse.wire.toolkit import configure_pynetdicom


@pytest.mark.parametrize("set_by_seconds", [-7200.0, 7200.0])
def test_timers_of_associations_do_not_mind_a_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch, set_by_seconds: float
) -> None:
    configure_pynetdicom()
    timer = Timer(60.0)
    timer.start()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + set_by_seconds)
    assert not timer.expired
    assert 0.0 < timer.remaining <= 60.0
