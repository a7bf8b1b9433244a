"""A node whose machine's clock is set: nothing waits for longer than that, and nothing is told twice."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from support.node_process import NodeProcess, run
from support.waiting import eventually

Send = Callable[..., subprocess.CompletedProcess[str]]

HOUR_SECONDS = 3600
SHIM = Path(__file__).parents[1] / "support" / "shifted_clock"


class MachineClock:
    """The clock of a machine, which a test sets. Set in one step, as files are replaced."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set_by(0)
        paths = [str(SHIM), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {"SHIFTED_CLOCK": str(self._file), "PYTHONPATH": os.pathsep.join(paths)}

    def set_by(self, seconds: float) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


def test_a_clock_that_is_set_back_and_forward_holds_nothing_up(
    sample_dicom: Path, tmp_path: Path, storescu: Send
) -> None:
    clock = MachineClock(tmp_path)
    bundles = tmp_path / "fhir"
    bundles.mkdir()

    def read(hand: str) -> None:
        before = len(list(bundles.iterdir()))
        assert storescu(node.port, sample_dicom / hand).returncode == 0
        eventually(lambda: len(list(bundles.iterdir())) == before + 1)

    flags = ("--fhir-to", bundles)
    with NodeProcess(
        tmp_path / "node", *flags, delivery_base_seconds="3000", machine=clock.environment
    ) as node:
        clock.set_by(-2 * HOUR_SECONDS)
        read("girl-08y-dx.dcm")
        eventually(lambda: [line for line in node.log() if line["event"] == "the clock was set"])
        clock.set_by(0)
        read("boy-09y-dx-right.dcm")
        clock.set_by(366 * 24 * HOUR_SECONDS)
        read("girl-13y-dx-mono1.dcm")

        # what waits while the clock is a year ahead does not wait for a year when it has been put right
        bundles.rename(tmp_path / "away")
        bundles.write_text("no folder, hence a destination that is away")
        assert storescu(node.port, sample_dicom / "boy-15y-cr.dcm").returncode == 0
        eventually(lambda: [line for line in node.log() if line["event"] == "report not delivered"])
    clock.set_by(0)
    bundles.unlink()
    bundles.mkdir()
    with NodeProcess(tmp_path / "node", *flags, machine=clock.environment) as node:
        eventually(lambda: len(list(bundles.iterdir())) == 1)
        (latest, *_) = node.studies()
        shown = json.loads(run("studies", "show", latest["id"], "--json", "--data-dir", node.folder).stdout)
        assert [job["attempts"] for job in shown["jobs"]] == [1]
