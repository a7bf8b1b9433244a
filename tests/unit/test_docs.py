"""What the documents say is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conformance import conformance_markdown
from PIL import Image
from support.repository import REPOSITORY

from boneage_node.bone_age import ReasonCode, Refusal, Sex, arrays, model_zoo
from boneage_node.bone_age.manifest import read_manifest
from boneage_node.phantom import draw_hand
from boneage_node.settings import load_settings

DOCS = REPOSITORY / "docs"


def test_the_conformance_statement_is_what_the_code_says() -> None:
    assert (DOCS / "conformance.md").read_text(encoding="utf-8") == conformance_markdown()


def test_the_conformance_statement_loads_no_torch() -> None:
    program = "import sys, conformance; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY / "tools", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_every_reason_for_a_refusal_is_explained() -> None:
    text = (DOCS / "how-it-works.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if "|" in line]
    for code in ReasonCode:
        (row,) = [row for row in rows if row[1] == f"`{code}`"]
        _, _, sentence, what_to_do, _ = row
        assert sentence == Refusal(code).sentence
        assert what_to_do.endswith(".")


def test_the_example_settings_are_valid() -> None:
    settings = load_settings(REPOSITORY / "deploy" / "boneage-node.toml")
    assert settings.listening.unsafe() is None


def test_the_readme_reads_an_array_in_five_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hand = draw_hand(100, Sex.FEMALE, seed=3, height_px=512).pixels
    Image.fromarray((255 * hand).astype(np.uint8)).save(tmp_path / "hand.png")
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    exec(program, {})
    bone_age_months = float(capsys.readouterr().out.split()[0])
    assert 0 < bone_age_months < 240
    docstring = [line.strip() for line in (arrays.__doc__ or "").splitlines()]
    assert all(line.split("  #")[0].strip() in docstring for line in program.splitlines())


def test_the_readme_tells_the_figures_of_the_shipped_model() -> None:
    manifest = read_manifest(model_zoo.model_dir())
    readme = (REPOSITORY / "README.md").read_text()
    assert f"`{manifest.name}` {manifest.version}" in readme
    for name, population in (("high resolution", "high_resolution"), ("all", "all")):
        row = manifest.metrics["figures"][population]
        (line,) = [line for line in readme.splitlines() if line.startswith(f"| {name} (")]
        cells = [cell.strip() for cell in line.strip("|").split("|")][1:]
        assert cells == [
            f"{row['images']:,}",
            f"{row['mae_months']:.1f}",
            f"{row['median_absolute_error_months']:.1f}",
            f"{row['rmse_months']:.1f}",
            f"{row['bias_months']:+.1f}",
            f"{100 * row['interval_coverage']:.0f} %",
            str(row["refused"]),
        ]
