"""The shipped model, loaded once."""

from __future__ import annotations

import pytest

from boneage_node.bone_age import model_zoo
from boneage_node.bone_age.predictor import Predictor


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    """The shipped model on the CPU; nobody changes it."""
    return Predictor.load(model_zoo.model_dir(), "cpu")
