"""Whether what is called held out was held out of a model's training."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.evaluation import BOY, a_manifest

from boneage_node.bone_age.manifest import Manifest
from boneage_node.datasets.held_out import held_out_digest, reason_to_doubt, split_differs
from boneage_node.datasets.rsna import Example
from boneage_node.evaluation.report import Evaluation
from boneage_node.models.packing import write_manifest


def examples(*splits: str) -> list[Example]:
    return [Example(str(n), Path(f"{n}.png"), 100, BOY, split, None) for n, split in enumerate(splits)]


SPLIT = examples("train", "calibration", "validation")
OTHER = examples("validation", "calibration", "train")


def trained(**training: object) -> Manifest:
    return a_manifest().model_copy(update={"training": training})


def test_a_model_is_measured_on_the_images_held_out_of_its_training() -> None:
    manifest = trained(held_out_sha256=held_out_digest(SPLIT))
    assert reason_to_doubt(manifest, SPLIT) == ""
    assert not split_differs(manifest, SPLIT)
    assert "splits.csv" in reason_to_doubt(manifest, OTHER)
    assert split_differs(manifest, OTHER)


def test_a_model_that_does_not_say_what_was_held_out_is_doubted() -> None:
    assert "does not say" in reason_to_doubt(trained(), SPLIT)
    assert not split_differs(trained(), SPLIT)


@pytest.mark.parametrize(("lender_split", "doubted"), [(SPLIT, False), (OTHER, True), (None, True)])
def test_networks_taken_from_another_model_are_named(
    tmp_path: Path, lender_split: list[Example] | None, doubted: bool
) -> None:
    lent = {
        "parts": ["the hand mask", "the key points"],
        "model": "lender 1 (abc)",
        "held_out_sha256": held_out_digest(lender_split) if lender_split else None,
    }
    manifest = trained(held_out_sha256=held_out_digest(SPLIT), borrowed=lent)
    said = reason_to_doubt(manifest, SPLIT)
    assert ("the hand mask and the key points are those of lender 1 (abc)" in said) is doubted

    metrics = Evaluation(manifest, "validation", [], doubt=said).figures()
    write_manifest(tmp_path, manifest.model_copy(update={"metrics": metrics}))

    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert ("Neither weights nor shares" in card) is not doubted
    assert ("lender 1 (abc), which may have learned from these images" in card) is doubted
