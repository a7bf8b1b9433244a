"""The worker process: claims studies, reads them, writes their reports."""

from __future__ import annotations

import os
import socket

import torch

from boneage_node.reading.reporter import Reporter
from boneage_node.reading.study import load_predictor
from boneage_node.reading.worker import Worker
from boneage_node.settings import Settings
from boneage_node.store import DatabaseAvailability, DatabaseError

from .child import Child
from .opening import open_store

IDLE_SECONDS = 0.25
"""Time between two looks of an idle worker into the queue."""
DATABASE_AWAY_SECONDS = 2.0
NICENESS = 5
"""The receiver goes first where processors are few."""
THREADS_MAX = 8
"""One hand is too little work for more."""


def run(settings: Settings, child: Child, *, device: str) -> None:
    """Read studies until told to stop; one that is being read is finished.

    Args:
        settings: The node's settings.
        child: This process.
        device: Where to read; ``auto`` takes the first GPU, and reports the others as ``more_devices``.

    Raises:
        NodeError: Where the model or the device cannot be used.
    """
    os.nice(NICENESS)
    torch.set_num_threads(min(THREADS_MAX, torch.get_num_threads()))
    device, more_devices = _resolve(device)
    predictor = load_predictor(settings.reading.model, device)
    with open_store(settings.storage) as store:
        destinations = settings.delivery.by_form()
        reporter = Reporter(settings.report, store, settings.listening.ae_title, destinations)
        name = f"{socket.gethostname()}-{child.name}-{os.getpid()}"
        worker = Worker(settings.reading, store, predictor, reporter, name)
        child.ready(device=device, more_devices=more_devices, model=str(predictor.identity))
        availability = DatabaseAvailability()
        while not child.stop.is_set():
            child.alive()
            try:
                idle = not worker.work()
            except DatabaseError as error:
                availability.lost(error)
                child.stop.wait(DATABASE_AWAY_SECONDS)
                continue
            availability.regained()
            if idle:
                child.stop.wait(IDLE_SECONDS)


def _resolve(device: str) -> tuple[str, list[str]]:
    """The device to use, and the further ones that ``auto`` stands for."""
    if device != "auto":
        return device, []
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]
    return found[0], found[1:]
