"""The science: arrays in, an assessment out. Knows no DICOM, no database, no network."""

from .assessment import Assessment, Hand, ModelIdentity
from .words import Laterality, ReasonCode, Refusal, Sex

__all__ = ["Assessment", "Hand", "Laterality", "ModelIdentity", "ReasonCode", "Refusal", "Sex"]
