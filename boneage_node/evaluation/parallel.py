"""Many radiographs read side by side, on as many cores as there are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from boneage_node.bone_age.predictor import one_thread

_MOST_THREADS = 16
"""Each holds an image and what the networks make of it."""
_AHEAD = 8

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def each(
    work: Callable[[Item], Outcome],
    items: Iterable[Item],
    progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """Do the same with each item, each on one thread; the outcomes in the order of the items.

    On more threads an image is not read faster: those of small networks wait for each other longer than they
    work.

    Args:
        work: What to do; may be called from several threads at once.
        items: What to do it with; taken as they are needed.
        progress: Called with how many are done.
    """
    cores = len(os.sched_getaffinity(0))
    threads = min(cores, _MOST_THREADS)
    waiting = iter(items)
    outcomes: list[Outcome] = []
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        while part := list(islice(waiting, _AHEAD * threads)):
            for outcome in pool.map(work, part):
                outcomes.append(outcome)
                progress(len(outcomes))
    return outcomes
