"""Signs of life of processes."""

from __future__ import annotations

from support.store import Clock

from boneage_node.store import Store


def test_tells_how_long_ago_a_process_was_at_work(store: Store, clock: Clock) -> None:
    assert store.heartbeats.seconds_since("control") is None
    store.heartbeats.beat("control")
    clock.go_on(30)
    assert store.heartbeats.seconds_since("control") == 30
    store.heartbeats.beat("control")
    store.heartbeats.beat("other")
    assert store.heartbeats.seconds_since("control") == 0
