"""An assessment or a refusal, with the image it came from, as DICOM objects and as pictures."""

from .document import to_bytes
from .fhir.bundle import fhir_bundle
from .fhir.types import json_bytes
from .identity import DeviceIdentity, Kind, derive_uid, report_instance_uid
from .picture.capture import secondary_capture
from .picture.page import draw_picture, draw_refusal_picture
from .sr.assessment import SR_CLASSES, assessment_sr
from .sr.document import Predecessor
from .sr.refusal import refusal_sr
from .wording import years_and_months

__all__ = [
    "SR_CLASSES",
    "DeviceIdentity",
    "Kind",
    "Predecessor",
    "assessment_sr",
    "derive_uid",
    "draw_picture",
    "draw_refusal_picture",
    "fhir_bundle",
    "json_bytes",
    "refusal_sr",
    "report_instance_uid",
    "secondary_capture",
    "to_bytes",
    "years_and_months",
]
