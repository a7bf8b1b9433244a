"""Time that a study takes from the start of its C-STORE to the arrival of its report and picture.

A whole node and a small PACS on loopback; each study is sent alone, over an association of its own. On Linux
also the memory of the node's largest process, which is the worker's: it alone holds the networks.

    python benchmarks/turnaround.py [STUDIES]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from boneage_node.dimse.store_scu import send
from boneage_node.net.calling import Caller
from boneage_node.replay.node import TemporaryNode
from boneage_node.replay.pacs import SmallPacs
from boneage_node.traffic.file import LocalFile

SAMPLE = Path(__file__).parent.parent / "sample_dicom" / "girl-08y-dx.dcm"
DOCUMENTS = 2
"""That come of a study: structured report and picture."""


def new_study(folder: Path, number: int) -> Path:
    """The sample as a study that the node has not seen."""
    image = dcmread(SAMPLE)
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    path = folder / f"study-{number}.dcm"
    image.save_as(path)
    return path


def peak_memory_mib() -> float | None:
    """Greatest resident set that any child of this process has had, in MiB; None where /proc is missing."""
    parents, peaks_kib = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        process = int(status.parent.name)
        parents[process] = int(fields["PPid"])
        peaks_kib[process] = int(fields.get("VmHWM", "0 kB").split()[0])

    def is_ours(process: int) -> bool:
        parent = parents.get(process, 0)
        return parent == os.getpid() or (parent > 1 and is_ours(parent))

    ours = [peak_kib for process, peak_kib in peaks_kib.items() if is_ours(process)]
    return max(ours) / 1024 if ours else None


def main(studies: int) -> None:
    """Send the studies one after another and print the times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        received = folder / "pacs"
        received.mkdir()
        with SmallPacs(received) as pacs, TemporaryNode(folder, pacs.destination, None, "cpu") as node:
            seconds = []
            for number in range(studies + 1):
                study = new_study(folder, number)
                started = time.perf_counter()
                (sent,) = send(node.destination, [LocalFile(study)], Caller("BENCHMARK"))
                assert sent.delivered, sent.error
                while len(list(received.iterdir())) < DOCUMENTS * (number + 1):
                    time.sleep(0.01)
                seconds.append(time.perf_counter() - started)
            memory_mib = peak_memory_mib()
    first, *rest = seconds
    print(
        f"first study {first:.2f} s; next {len(rest)}: median {statistics.median(rest):.2f} s, "
        f"least {min(rest):.2f} s, most {max(rest):.2f} s"
    )
    if memory_mib is not None:
        print(f"memory of the largest process: at most {memory_mib:.0f} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
