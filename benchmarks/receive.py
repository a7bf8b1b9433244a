"""Speed of the receiver with images from storescu, with fsync and a database row for each.

    python benchmarks/receive.py [--images 40] [--megabytes 10] [--associations 1 4] [--folder DIR]

The receiver runs in a process of its own, as in a node, over a SQLite store in ``--folder``. What is printed
is wall time from the first storescu's start to the last one's end.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from boneage_node.dimse.store_scp import serve
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.logs import LogSettings, configure_logs
from boneage_node.net.listening import Listening
from boneage_node.node.arrivals import Arrivals
from boneage_node.reading.settings import ReadingSettings
from boneage_node.store import Store


def write_image(path: Path, megabytes: float) -> None:
    """Write a CR image of zeros."""
    rows = round((megabytes * 1e6 / 2) ** 0.5)
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (generate_uid() for _ in range(3))
    image.Rows = image.Columns = rows
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = bytes(rows * rows * 2)
    image.save_as(path, enforce_file_format=True)


def run_receiver(folder: Path, connection: Connection) -> None:
    """Serve until told to stop."""
    configure_logs("receiver", LogSettings(level="warning"))
    store = Store.open(f"sqlite:///{folder}/benchmark.sqlite3", folder / "spool")
    listening = Listening(port=0)
    receiver = serve(
        listening,
        listening.bind(),
        Arrivals(store.intake, ReadingSettings()),
        store.spool.incoming_dir,
        limits=Limits(reserve_bytes=0),
    )
    connection.send(receiver.port)
    connection.recv()
    receiver.shutdown()


def dcmtk_storescu() -> str:
    """Path of DCMTK's storescu; pynetdicom puts a program of that name beside the interpreter."""
    beside = Path(sys.executable).parent
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != beside]
    return shutil.which("storescu", path=os.pathsep.join(folders)) or sys.exit("DCMTK is not installed")


def measure(images: list[Path], associations: int, folder: Path) -> float:
    """Images per second."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_receiver, args=(folder, theirs))
    process.start()
    port = ours.recv()
    started = time.monotonic()
    senders = [
        subprocess.Popen(
            [dcmtk_storescu(), "-aec", "BONEAGE", "127.0.0.1", str(port), *images[first::associations]],
            stdout=subprocess.DEVNULL,
        )
        for first in range(associations)
    ]
    if any([sender.wait() for sender in senders]):  # noqa: C419 - wait for every one
        sys.exit("storescu failed")
    seconds = time.monotonic() - started
    ours.send(None)
    process.join()
    return len(images) / seconds


def main() -> None:
    """Measure each number of associations in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for associations in options.associations:
        folder = Path(tempfile.mkdtemp(prefix="receive-", dir=options.folder))
        images = [folder / f"{number}.dcm" for number in range(options.images)]
        for image in images:
            write_image(image, options.megabytes)
        speed = measure(images, associations, folder)
        print(
            f"{associations} association(s): {speed:.1f} images/s, {speed * options.megabytes:.0f} MB/s",
            flush=True,
        )
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
