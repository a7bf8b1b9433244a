"""From the files of a study to an answer: the one path that the worker and ``assess`` share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from boneage_node.bone_age import Answer, model_zoo
from boneage_node.bone_age.manifest import ModelError
from boneage_node.bone_age.predictor import Predictor
from boneage_node.errors import ExitCode, NodeError
from boneage_node.radiograph import Choice, choose_hand_image
from boneage_node.traffic.result import Result

from .result import result


@dataclass(frozen=True)
class Reading:
    """What became of a study.

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
        return result(str(self.choice.path), self.choice, self.answer, self.elapsed_ms)


def load_predictor(model: str | None, device: str) -> Predictor:
    """Load a model by name or folder; None is the default one.

    Raises:
        NodeError: Where the model or the device cannot be used.
    """
    try:
        return Predictor.load(model_zoo.model_dir(model), device)
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error


def read_study(paths: Sequence[Path], predictor: Predictor, *, sex_required: bool = True) -> Reading:
    """Read one study.

    Args:
        paths: The files of its instances, in the order in which they were received; at least one.
        predictor: The model.
        sex_required: Refuse a patient of unknown sex, who is else read as both.

    Raises:
        OSError: A file cannot be opened.
    """
    started = time.perf_counter()
    choice = choose_hand_image(paths, sex_required=sex_required)
    (answer,) = answers([choice], predictor)
    return Reading(choice, answer, 1000 * (time.perf_counter() - started))


def answers(choices: Sequence[Choice], predictor: Predictor) -> list[Answer]:
    """Assess the chosen images, in one batch, in order; a choice that was refused keeps its refusal."""
    assessed = iter(predictor.assess([c.radiograph.hand for c in choices if c.radiograph is not None]))
    return [next(assessed) if choice.refusal is None else choice.refusal for choice in choices]
