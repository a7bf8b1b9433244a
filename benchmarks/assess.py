"""Studies that are assessed in a second, stage by stage: on the cores of the CPU, and on a GPU.

Each process reads the sample studies as a worker does, as bone age, structured report and picture. Beside
that, in the same run, what the winner of the RSNA 2017 challenge would take: five Inception v3 networks with
ten views of 500 x 500 pixels each. Their weights are random; one is measured and counted five times. ``wall``
holds for a machine with nothing else to do, ``CPU`` nearly for any.

    python benchmarks/assess.py [--processes N] [--rounds 3] [--model NAME]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch

from boneage_node.bone_age import Refusal, Sex
from boneage_node.bone_age.inception import AgeInception
from boneage_node.bone_age.networks import folded
from boneage_node.bone_age.predictor import Predictor, choose_device, one_thread
from boneage_node.bone_age.views import read_views
from boneage_node.radiograph import choose_hand_image
from boneage_node.reading.study import load_predictor
from boneage_node.report import Report, picture, report_instance_uid, structured_report, to_bytes
from boneage_node.traffic.file import LocalFile

SAMPLES = sorted((Path(__file__).parent.parent / "sample_dicom").glob("*.dcm"))
INCEPTION_SIDE_PX, INCEPTION_VIEWS, INCEPTION_NETWORKS = 500, 10, 5

Seconds = Counter[tuple[str, str]]
"""By stage, and ``wall`` or ``CPU``."""

model: Predictor
"""Of this process."""


def load(name: str | None, device: str, ready: Barrier) -> None:
    """Load the model of a process, and read once what the first study would wait for."""
    global model
    model = load_predictor(name, device)
    read(SAMPLES[0])
    ready.wait()


@contextmanager
def stage(name: str, seconds: Seconds) -> Iterator[None]:
    """Add up what is done within."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    seconds[name, "wall"] += time.perf_counter() - wall
    seconds[name, "CPU"] += time.process_time() - cpu


def read(path: Path) -> Seconds:
    """Read a study, and say what its stages took."""
    seconds: Seconds = Counter()
    with stage("decode", seconds):
        choice = choose_hand_image([LocalFile(path)], sex_required=False)
    if choice.radiograph is None or choice.dataset is None:
        return seconds
    hand = choice.radiograph.hand
    with stage("find", seconds):
        found = model.find(hand.pixels)
    if isinstance(found, Refusal):
        return seconds
    with stage("networks", seconds):
        seen = model.see(found, list(Sex) if hand.sex is None else [hand.sex])
    with stage("answer", seconds):
        answer = model.answer(hand, found, seen)
    with stage("report and picture", seconds):
        uid = report_instance_uid(choice.dataset, answer, hand.pixels)
        report = Report(choice.dataset, answer, uid, datetime.now().astimezone())
        to_bytes(structured_report(report))
        to_bytes(picture(report, hand.pixels))
    return seconds


def read_by_inception(device: str) -> Seconds:
    """Read a radiograph by one network of the challenge's winner."""
    seconds: Seconds = Counter()
    network = folded(AgeInception()).to(choose_device(device))
    image = torch.rand(1, 1, INCEPTION_SIDE_PX, INCEPTION_SIDE_PX).to(choose_device(device))
    with one_thread():
        read_views(network, image[..., :99, :99], [[1.0]], 1)  # once, as `load` does
        with stage("Inception v3", seconds):
            read_views(network, image, [[1.0]], INCEPTION_VIEWS)
    return seconds


def measure(name: str | None, device: str, processes: int, rounds: int) -> None:
    """Read the samples, and print the speed."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    with context.Pool(processes, load, (name, device, ready)) as pool:
        ready.wait()
        started = time.perf_counter()
        read_one_by_one = pool.map(read, SAMPLES * rounds, chunksize=1)
        elapsed = time.perf_counter() - started
        by_inception = pool.map(read_by_inception, [device] * processes, chunksize=1)
    studies = len(read_one_by_one)
    seconds = sum(read_one_by_one, Counter())
    cpu = sum(spent for (_, clock), spent in seconds.items() if clock == "CPU") / studies
    print(
        f"{device}, processes: {processes}: {studies / elapsed:.2f} studies a second, CPU {cpu:.3f} s a study"
    )
    for name in dict.fromkeys(name for name, _ in seconds):
        wall, cpu = (seconds[name, clock] / studies for clock in ("wall", "CPU"))
        print(f"  {name:20} wall {wall:.3f} s, CPU {cpu:.3f} s")
    one = sum(by_inception, Counter())
    wall, cpu = (INCEPTION_NETWORKS * one["Inception v3", clock] / processes for clock in ("wall", "CPU"))
    beside = f"Inception v3 x {INCEPTION_NETWORKS} x {INCEPTION_VIEWS} views of {INCEPTION_SIDE_PX} px, alone"
    print(f"  {beside}: {processes / wall:.3f} studies a second, CPU {cpu:.1f} s a study")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model")
    given = parser.parse_args()
    measure(given.model, "cpu", given.processes, given.rounds)
    if torch.cuda.is_available():
        measure(given.model, "cuda:0", 1, given.rounds)
