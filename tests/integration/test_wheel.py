"""The wheel, installed elsewhere, has all that it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from support.repository import REPOSITORY

PROGRAM = """
import runpy, sys, boneage_node
print(boneage_node.__file__, file=sys.stderr)
runpy.run_module("boneage_node", run_name="__main__")
"""


@pytest.mark.slow
def test_a_wheel_reads_a_hand_from_an_empty_folder(tmp_path: Path, sample_dicom: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, REPOSITORY], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert "boneage_node/evaluation/templates/report.html" in files
    assert "boneage_node/models/templates/MODEL_CARD.md" in files
    names = ZipFile(wheel).namelist()
    metadata, data = (f"{wheel.name.partition('-py3')[0]}.{part}" for part in ("dist-info", "data"))
    assert {name.partition("/")[0] for name in names} == {"boneage_node", metadata, data}
    assert {name for name in names if name.startswith(data)} == {
        f"{data}/data/share/boneage-node/{file.name}" for file in (REPOSITORY / "deploy").iterdir()
    }
    assert not [name for name in names if "conformance" in name]
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "assess",
            sample_dicom / "girl-08y-dx.dcm",
            "--json",
            "--device",
            "cpu",
        ],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stderr
    assert json.loads(done.stdout)["status"] == "assessed"
