"""A manifest that would give wrong ages is refused in words, before anything is read with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boneage_node.bone_age import Sex, model_zoo
from boneage_node.bone_age.interval import ReadAs, intervals
from boneage_node.bone_age.manifest import ModelError, read_manifest

Change = Callable[[dict[str, Any]], object]


def changed(folder: Path, change: Change) -> Path:
    """A folder with the shipped manifest, changed."""
    manifest = json.loads((model_zoo.model_dir() / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["members"][0]["weights"].update(regression=0.5), "sum to"),
        (lambda m: m["members"][0]["weights"].update(regression=-0.1), "greater than or equal to 0"),
        (
            lambda m: m["members"][0]["weights"].update(ordinal=0.0),
            "share for ordinal, but the heads of a vgg",
        ),
        (lambda m: m["members"][1].update(architecture="inception"), "heads of a inception are regression"),
        (lambda m: m["members"][0].update(widths=[]), "without widths"),
        (lambda m: m["members"][0].update(views=3), "views"),
        (lambda m: m["members"][1].update(name="A"), "two networks have one name: A, A, C"),
        (lambda m: m.update(members=[]), "members"),
        (lambda m: m["members"][2].update(height_px=196), "distorted: 1400 x 600 in 196 x 196 pixels"),
        (lambda m: m["interval"]["bands"].pop("F"), "no band for sex F"),
        (lambda m: m["interval"]["bands"].update(M=[]), "no band for sex M"),
        (lambda m: m["interval"]["bands"]["M"].reverse(), "bands of sex M are not in the order"),
        (lambda m: m["interval"].update(coverage=95), "interval.coverage"),
        (lambda m: m["recognition"]["regions"].update(Z="the elbow"), "asks Z, which is no vgg"),
        (lambda m: m["recognition"].update(unlikeness=0), "recognition.unlikeness"),
        (lambda m: m["plausibility"].update(spread_months=float("nan")), "plausibility.spread_months"),
        (lambda m: m.update(repeatability_months=0), "repeatability_months"),
    ],
)
def test_a_manifest_of_which_ages_would_be_wrong_is_refused(
    tmp_path: Path, change: Change, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        read_manifest(changed(tmp_path, change))


def test_a_manifest_of_0_3_0_is_taken_without_a_test_that_it_sees_a_hand(tmp_path: Path) -> None:
    def as_before(manifest: dict[str, Any]) -> None:
        del manifest["recognition"], manifest["plausibility"]["missing"]
        manifest.pop("repeatability_months", None)
        del manifest["plausibility"]["fingers_at_border"]
        manifest["plausibility"]["cut_off"] = 0.116

    manifest = read_manifest(changed(tmp_path, as_before))
    assert manifest.recognition is None
    assert manifest.repeatability_months is None
    assert manifest.plausibility.missing.wrist == 0.12


def test_an_interval_of_0_3_1_means_what_it_did(tmp_path: Path) -> None:
    def as_before(manifest: dict[str, Any]) -> None:
        bands = [
            {"below_months": 96.0, "half_width_months": 20.3},
            {"below_months": 240.0, "half_width_months": 17.18},
        ]
        manifest["interval"] = {"coverage": 0.95, "bands": {"F": bands[:1], "M": bands}}

    interval = read_manifest(changed(tmp_path, as_before)).interval
    for spread_months in (0.0, 4.5, 30.0):
        younger, older = (ReadAs(Sex.MALE, months, spread_months) for months in (95.9, 96.0))
        assert intervals(interval, [younger]) == ((75.6, 116.2), None)
        assert intervals(interval, [older]) == ((78.8, 113.2), None)


def test_shares_rounded_to_four_digits_are_taken(tmp_path: Path) -> None:
    def round_off(manifest: dict[str, Any]) -> None:
        manifest["members"][0]["weights"]["regression"] += 0.0003

    assert read_manifest(changed(tmp_path, round_off)).name == "hand-regions"
