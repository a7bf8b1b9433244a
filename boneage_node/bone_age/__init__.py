"""The science: arrays in, an assessment out (`load`, `assess`). Knows no DICOM, no database, no network."""

from .arrays import assess, load
from .assessment import Answer, Assessment, Attention, Hand, ModelIdentity
from .course import Course, EarlierReading
from .words import Agreement, Caution, Determination, Laterality, ReasonCode, Refusal, Sex

__all__ = [
    "Agreement",
    "Answer",
    "Assessment",
    "Attention",
    "Caution",
    "Course",
    "Determination",
    "EarlierReading",
    "Hand",
    "Laterality",
    "ModelIdentity",
    "ReasonCode",
    "Refusal",
    "Sex",
    "assess",
    "load",
]
