"""What others say of our objects: dciodvfy, PixelMed and DCMTK."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

# PixelMed's templates are larger than the limits that newer Java sets on XPath expressions.
JAVA_OPTIONS = " ".join(
    f"-Djdk.xml.xpath{limit}=0" for limit in ("ExprOpLimit", "TotalOpLimit", "ExprGrpLimit")
)


def said_by(*command: object) -> tuple[int, list[str]]:
    """Exit status and lines of a validator."""
    finished = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        env={**os.environ, "JDK_JAVA_OPTIONS": JAVA_OPTIONS},
        check=False,
    )
    return finished.returncode, (finished.stdout + finished.stderr).splitlines()


def assert_clean_in_dciodvfy(file: Path, iod: str, require_peer: Callable[[str], str]) -> None:
    """It names the kind of object, and says nothing else."""
    assert said_by(require_peer("dicom3tools"), "-new", file) == (0, [iod])


def assert_clean_in_dsrdump(file: Path, require_peer: Callable[[str], str]) -> None:
    """DCMTK reads it as a structured report."""
    status, lines = said_by(str(Path(require_peer("dcmtk")).parent / "dsrdump"), file)
    assert status == 0, lines


def assert_clean_in_pixelmed(file: Path, require_peer: Callable[[str], str]) -> None:
    """It finds the template and no error."""
    status, lines = said_by(require_peer("pixelmed"), file)
    assert status == 0, lines
    assert "Found Root Template TID_1500" in "\n".join(lines)
    assert "IOD validation complete" in "\n".join(lines)
    assert not [line for line in lines if line.startswith("Error")], lines
