"""The report of an evaluation: what is written is what was read, and the command as users run it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support import command_line
from support.evaluation import BOY, GIRL, a_manifest, a_reading, an_assessment
from support.node_process import environment, run
from support.tiny_model import tiny_model

from boneage_node.bone_age import Hand, ReasonCode, Sex
from boneage_node.bone_age.manifest import read_manifest
from boneage_node.bone_age.predictor import Predictor
from boneage_node.bone_age.registration import POINT_NAMES
from boneage_node.bone_age.segmentation import largest_component, outline
from boneage_node.datasets.rsna import read_image
from boneage_node.evaluation.crops import CROPS
from boneage_node.evaluation.page import write_page
from boneage_node.evaluation.phantoms import PhantomReading
from boneage_node.evaluation.precision import KINDS, Retaken, precision_table
from boneage_node.evaluation.report import Evaluation
from boneage_node.evaluation.stress import VARIANTS, key, stress_table
from boneage_node.evaluation.tables import tables
from boneage_node.models.packing import write_manifest
from boneage_node.phantom import PhantomHand, draw_hand

SVG = "{http://www.w3.org/2000/svg}svg"
UNTOLD = {"A regression": 90.0, "ensemble": 94.0}


def an_evaluation() -> Evaluation:
    random = np.random.default_rng(5)
    readings = [
        a_reading(
            label,
            an_assessment(label + random.normal(1, 6), sex, members={"A regression": label + 7}),
            sex,
            sharp=sharp,
            as_both=an_assessment(label, None, 20),
            untold=UNTOLD,
        )
        for label in range(20, 220, 10)
        for sex in (BOY, GIRL)
        for sharp in (True, False)
    ]
    readings.append(a_reading(50, ReasonCode.SEVERAL_HANDS))
    changed = {key(variant): [an_assessment(100)] * len(readings) for variant in VARIANTS}
    drawn = [PhantomReading(BOY, age, an_assessment(age + 2), 0.9, np.full(3, 0.02)) for age in (30, 60, 90)]
    return Evaluation(
        a_manifest(),
        "validation",
        readings,
        finding={
            "hand_mask": {"images": 16, "refused": 0, "mean_iou": 0.957, "least_iou": 0.94},
            "key_points": {"images": 128, "refused": 1, "median": 0.0123, "percentile_95": 0.0345},
        },
        stress=stress_table(readings, changed),
        precision=precision_table([Retaken(readings[0], dict.fromkeys(KINDS, [an_assessment(20)] * 3))]),
        phantoms=drawn,
    )


def written(evaluation: Evaluation, folder: Path) -> ElementTree.Element:
    return ElementTree.parse(write_page(evaluation, folder, date(2030, 1, 2))).getroot()


def test_the_page_holds_the_figures_and_every_plot_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    evaluation = an_evaluation()
    page = written(evaluation, tmp_path)
    cells = ["".join(cell.itertext()) for cell in page.iter() if cell.tag in ("td", "th")]
    for table in tables(evaluation.figures()).values():
        for row in table.rows:
            assert set(row) <= set(cells), table.title
    assert [heading.text for heading in page.iter("h2")] == [
        "Errors",
        "Networks and sex",
        "Stages of skeletal development",
        "Agreement with the labels",
        "Error by age",
        "Interval by age",
        "Finding the hand",
        "Sex unknown",
        "Refusals",
        "Stress test",
        "Precision",
        "Drawn hands",
    ]
    assert len(list(page.iter(SVG))) == 5
    text = "".join(page.itertext())
    for words in (
        "<hand-made> 1 (000000000000)",
        "Research & nothing else.",
        "2030-01-02",
        "+1.96 SD",
        "several-hands",
    ):
        assert words in text
    links = [value for node in page.iter() for name, value in node.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links)
    ids = [node.attrib["id"] for node in page.iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)


def test_the_same_readings_make_the_same_page(tmp_path: Path) -> None:
    first, second = (
        write_page(an_evaluation(), tmp_path / name, date(2030, 1, 2)).read_bytes() for name in ("a", "b")
    )
    assert first == second


def test_bland_altman_shows_the_limits_of_agreement(tmp_path: Path) -> None:
    readings = [a_reading(100, an_assessment(100 + d), BOY) for d in (-2, 0, 2, 4)]
    text = "".join(written(Evaluation(a_manifest(), "validation", readings), tmp_path).itertext())
    for line in ("mean +1.0", "+1.96 SD +6.1", "-1.96 SD -4.1"):  # the SD of -2, 0, 2, 4 is 2.582
        assert line in text


def test_a_bias_that_rounds_to_nothing_has_no_minus(tmp_path: Path) -> None:
    readings = [a_reading(100, an_assessment(100 + d), BOY) for d in (-2.0, 1.992)]
    evaluation = Evaluation(a_manifest(), "validation", readings)
    assert str(evaluation.figures()["figures"]["all"]["bias_months"]) == "0.0"
    text = "".join(written(evaluation, tmp_path).itertext())
    assert "+0.0 mo" in text
    assert "mean +0.0" in text
    assert "-0.0" not in text


def test_what_was_not_asked_for_is_not_there_and_one_population_is_shown_once(tmp_path: Path) -> None:
    readings = [a_reading(100, an_assessment(103), sex) for sex in (BOY, GIRL)]
    evaluation = Evaluation(a_manifest(), "validation", readings)
    page = written(evaluation, tmp_path)
    assert "Stress test" not in [heading.text for heading in page.iter("h2")]
    assert list(tables(evaluation.figures())) == [
        "figures",
        "refusals",
        "networks high_resolution",
        *(f"stages high_resolution {group}" for group in ("all", "boys", "girls", "sex not told")),
        "intervals high_resolution",
        "sex unknown",
    ]
    assert "No image was refused." in "".join(page.itertext())


@pytest.mark.parametrize("answer", [ReasonCode.NO_HAND_FOUND, an_assessment(103)])
def test_a_page_of_one_low_resolution_image(tmp_path: Path, answer: Any) -> None:
    evaluation = Evaluation(a_manifest(), "validation", [a_reading(100, answer, sharp=False)])
    assert len(list(written(evaluation, tmp_path).iter(SVG))) == 3
    assert "networks all" in tables(evaluation.figures())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The data, the report's folder and what was printed: one drawn hand as a boy's and a girl's, a blank."""
    folder = tmp_path_factory.mktemp("evaluated")
    pictures = folder / "rsna" / "boneage-training-dataset"
    pictures.mkdir(parents=True)
    hand = draw_hand(120, Sex.MALE, seed=4, height_px=480).pixels
    images = {1: hand, 2: hand, 3: np.zeros((300, 200), dtype=np.float32)}
    for number, pixels in images.items():
        Image.fromarray((pixels * 255).astype(np.uint8)).save(pictures / f"{number}.png")
    for name, rows in {
        "boneage-training-dataset.csv": [
            ["id", "boneage", "male"],
            [1, 120, True],
            [2, 90, False],
            [3, 60, True],
        ],
        "splits.csv": [["id", "split"], [1, "validation"], [2, "validation"], [3, "validation"]],
    }.items():
        with (folder / "rsna" / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    _annotate(folder / "rsna" / "annotations", draw_hand(120, Sex.MALE, seed=4, height_px=480))
    options = ["--model", tiny_model(folder / "model"), "--out", folder / "out", "--device", "cpu", "--card"]
    asked = ["--stress", "--precision", 1, "--phantoms", 2]
    done = run("evaluate", "--data", folder / "rsna", *options, *asked, "--json")
    assert done.returncode == 0, done.stderr
    assert "does not say which images were held out" in done.stderr
    return folder, folder / "out", json.loads(done.stdout)


def _annotate(folder: Path, hand: PhantomHand) -> None:
    """Its true outline and key points as a person would have drawn them."""
    folder.mkdir()
    height, width = hand.mask.shape
    corners = outline(largest_component(hand.mask)) + 0.5
    drawn = {"width": width, "height": height, "polygons": [{"exterior": corners.tolist()}]}
    (folder / "hand_outlines.json").write_text(json.dumps({"1": drawn, "4": drawn}))
    with (folder / "keypoints.csv").open("w", newline="") as file:
        names = [f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"]
        places = [value + 0.5 for name in POINT_NAMES for value in hand.key_points_px[name]]
        csv.writer(file).writerows([["id", "source", *names], [1, "manual", *places], [2, "auto", *places]])


def test_the_hand_is_measured_on_what_people_drew(evaluated: tuple[Path, Path, dict[str, Any]]) -> None:
    _, _, printed = evaluated
    assert printed["finding"]["hand_mask"]["images"] == 1
    assert printed["finding"]["hand_mask"]["least_iou"] > 0.85
    assert printed["finding"]["key_points"]["images"] == 1
    assert printed["finding"]["key_points"]["percentile_95"] < 0.06


def test_the_card_says_what_was_measured(evaluated: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, _, printed = evaluated
    manifest = read_manifest(folder / "model")
    assert manifest.metrics == printed
    assert manifest.repeatability_months == printed["precision"]["repeatability_months"]
    card = (folder / "model" / "MODEL_CARD.md").read_text()
    assert "boneage-node evaluate --data RSNA --stress --precision 1 --phantoms 2 --model" in card
    row = printed["figures"]["high_resolution"]
    assert f"| high resolution | 2 | 0 | {row['mae_months']:.2f} |" in card
    assert "| rotation, 90° |" in card
    assert f"| all together | 1 | {printed['precision']['changes']['all together']['refused']} |" in card


def test_a_card_is_not_written_from_data_that_is_split_otherwise(
    evaluated: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _, _ = evaluated
    shutil.copytree(folder / "model", tmp_path / "model")
    manifest = read_manifest(tmp_path / "model")
    write_manifest(
        tmp_path / "model", manifest.model_copy(update={"training": {"held_out_sha256": "0" * 64}})
    )
    before = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}

    done = run("evaluate", "--data", folder / "rsna", "--model", tmp_path / "model", "--card")

    assert done.returncode == 2
    assert "--card is not written" in done.stderr
    assert "splits.csv" in done.stderr
    assert {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()} == before


def test_the_command_reads_as_the_node_does(evaluated: tuple[Path, Path, dict[str, Any]]) -> None:
    folder, out, printed = evaluated
    found = json.loads((out / "evaluation.json").read_text())
    boy, girl, blank = found.pop("images")
    assert found == printed
    assert "does not say which images were held out" in printed["doubt"]
    assert "does not say which images were held out" in (out / "report.html").read_text()
    predictor = Predictor.load(folder / "model", "cpu")
    pixels = read_image(folder / "rsna" / "boneage-training-dataset" / "1.png")
    as_boy, as_girl, as_both = predictor.assess([Hand(pixels, sex) for sex in (BOY, GIRL, None)])
    for row, answer in ((boy, as_boy), (girl, as_girl)):
        assert row["bone_age_months"] == pytest.approx(answer.bone_age_months, abs=0.02)
        assert row["interval_months"] == pytest.approx(answer.interval_months, abs=0.02)
        assert row["networks_months"] == pytest.approx(dict(answer.member_months), abs=0.02)
        assert row["read_as_both"]["months_by_sex"] == pytest.approx(dict(as_both.months_by_sex), abs=0.02)
    assert boy["sex_not_told_months"] == girl["sex_not_told_months"]
    told = [row["networks_months"]["A regression"] for row in (boy, girl)]
    assert boy["sex_not_told_months"]["A regression"] not in told
    assert boy["high_resolution"]
    assert not blank["high_resolution"]
    assert blank["bone_age_months"] is None
    assert blank["refusal"] == "no-hand-found"


def test_the_command_stresses_and_draws_where_asked(evaluated: tuple[Path, Path, dict[str, Any]]) -> None:
    _, out, printed = evaluated
    assert printed["figures"]["high_resolution"]["images"] == 2
    assert printed["figures"]["all"]["refused"] == 1
    turned_and_cropped = [row["variant"] for row in printed["stress"]]
    assert turned_and_cropped == [v.name for v in VARIANTS] + [crop.name for crop in CROPS]
    assert [row["images"] for row in printed["stress"]] == [2] * len(turned_and_cropped)
    turned = next(row for row in printed["stress"] if row["variant"] == "90°")
    assert turned["read_both_ways"] + turned["newly_refused"] == 2
    assert printed["precision"]["hands"] == 1
    assert printed["phantoms"]["phantoms"] == 2
    assert printed["phantoms"]["mask_iou"]["least"] > 0.5
    assert printed["non_hands"]["all"] == {"images": 2, "refused": 2}
    page = ElementTree.parse(out / "report.html").getroot()
    assert len(list(page.iter(SVG))) == 5


def test_a_sample_says_that_it_is_one_and_makes_no_card(
    evaluated: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _, _ = evaluated
    limited = ("--data", folder / "rsna", "--model", folder / "model", "--device", "cpu", "--limit", 2)
    done = command_line.run("evaluate", *limited, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    said = "A sample of 2 of the 3 images of the split"
    assert said in " ".join(done.stdout.split())
    assert said in (tmp_path / "report.html").read_text()
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert said in found["sample"]
    assert len(found["images"]) == 2
    refused = command_line.run("evaluate", *limited, "--card")
    assert refused.returncode == 2
    assert "without --limit" in refused.stderr


def without_the_extra(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as where only ``boneage-node`` is installed, without the extra ``train``."""
    absent = "import sys; sys.modules.update(dict.fromkeys(('matplotlib', 'pandas')))"
    program = f"{absent}; from boneage_node.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment())


@pytest.mark.parametrize("command", [("evaluate",), ("train", "registration"), ("train", "all")])
def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = without_the_extra(*command, "--data", tmp_path)
    assert done.returncode == 2
    assert "needs matplotlib, pandas: pip install matplotlib pandas" in done.stderr


def test_a_study_is_assessed_without_the_extra() -> None:
    sample = sorted((Path(__file__).parents[3] / "sample_dicom").rglob("*.dcm"))[0]
    done = without_the_extra("assess", sample, "--json")
    assert json.loads(done.stdout)["status"] == "assessed", done.stderr


def test_what_cannot_be_evaluated_is_said(tmp_path: Path) -> None:
    card = ("--split", "train", "--card")
    for arguments, said in ((("--split", "test"), "calibration"), ((), "Unpack"), (card, "validation")):
        done = run("evaluate", "--data", tmp_path, *arguments)
        assert done.returncode == 2
        assert said in done.stderr
