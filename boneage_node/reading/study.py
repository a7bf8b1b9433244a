"""Reading of a study, from its files to an answer, for the worker and ``assess``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from boneage_node import radiograph
from boneage_node.bone_age import Answer, Refusal, Sex, model_zoo
from boneage_node.bone_age.manifest import ModelError
from boneage_node.bone_age.predictor import Predictor
from boneage_node.errors import ExitCode, NodeError
from boneage_node.radiograph import Choice, choose_hand_image
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.result import Result

from .result import result


@dataclass(frozen=True)
class Reading:
    """A study that was read.

    Attributes:
        choice: The image that the study is reported on.
        answer: Its assessment, or why there is none.
        elapsed_ms: From opening the files to the answer.
    """

    choice: Choice
    answer: Answer
    elapsed_ms: float

    def result(self) -> Result:
        """The result, as it is printed."""
        return result(self.choice.file_key, self.choice, self.answer, self.elapsed_ms)


def load_predictor(model: str | None, device: str) -> Predictor:
    """Load a model by name or folder; None is the default one.

    Raises:
        NodeError: Where the model or the device cannot be used.
    """
    try:
        return Predictor.load(model_zoo.model_dir(model), device)
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error


def read_study(files: Sequence[StoredFile], predictor: Predictor, *, sex_required: bool = True) -> Reading:
    """Read one study.

    Args:
        files: The files of its instances, in the order in which they were received.
        predictor: The model.
        sex_required: Refuse a patient of unknown sex, who is else read as both.

    Raises:
        OSError: A file cannot be opened.
    """
    started = time.perf_counter()
    choice = choose_and_find(files, predictor, sex_required=sex_required)
    (answer,) = assess([choice], predictor)
    return Reading(choice, answer, 1000 * (time.perf_counter() - started))


def read_picture(
    file: StoredFile,
    predictor: Predictor,
    sex: Sex | None,
    chronological_age_months: float | None,
    *,
    sex_required: bool = True,
) -> Reading:
    """Read a picture without a header, PNG, JPEG or TIFF, as a study of its own.

    Args:
        file: The picture.
        predictor: The model.
        sex: The patient's, as somebody tells it.
        chronological_age_months: The same of the age.
        sex_required: Refuse a patient of unknown sex, who is else read as both.

    Raises:
        OSError: The file cannot be opened.
    """
    started = time.perf_counter()
    try:
        hand = radiograph.read_picture(file, sex, chronological_age_months, sex_required=sex_required)
        choice = Choice(file, hand.header, None, hand, None)
    except Refusal as refusal:
        choice = Choice(file, radiograph.picture_header(sex, chronological_age_months), None, None, refusal)
    (answer,) = assess([_find(choice, predictor)], predictor)
    return Reading(choice, answer, 1000 * (time.perf_counter() - started))


def choose_and_find(files: Sequence[StoredFile], predictor: Predictor, *, sex_required: bool) -> Choice:
    """Choose the image of a study, and find the hand in it; arguments and errors as of ``read_study``."""
    return _find(choose_hand_image(files, sex_required=sex_required), predictor)


def _find(choice: Choice, predictor: Predictor) -> Choice:
    """The choice with the hand in it, or refused where there is none."""
    if choice.radiograph is None:
        return choice
    found = predictor.find(choice.radiograph.pixels)
    if isinstance(found, Refusal):
        return replace(choice, refusal=found)
    return replace(choice, found_hand=found)


def assess(choices: Sequence[Choice], predictor: Predictor) -> list[Answer]:
    """Assess the hands that were found, in order; a choice that was refused keeps its refusal."""
    hands = [
        (choice.radiograph.hand, choice.found_hand)
        for choice in choices
        if choice.radiograph is not None and choice.found_hand is not None
    ]
    assessed = iter(predictor.assess([hand for hand, _ in hands], [found for _, found in hands]))
    return [next(assessed) if choice.refusal is None else choice.refusal for choice in choices]
