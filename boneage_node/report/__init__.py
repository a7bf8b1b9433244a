"""An assessment or a refusal, with the image it came from, as DICOM objects and as pictures."""

from .document import to_bytes
from .fhir.bundle import fhir_bundle
from .fhir.types import json_bytes
from .identity import DeviceIdentity, Kind, derive_uid, report_instance_uid
from .picture.capture import picture
from .report import Predecessor, Report
from .sr.assessment import SR_CLASSES
from .sr.document import structured_report
from .wording import years_and_months

__all__ = [
    "SR_CLASSES",
    "DeviceIdentity",
    "Kind",
    "Predecessor",
    "Report",
    "derive_uid",
    "fhir_bundle",
    "json_bytes",
    "picture",
    "report_instance_uid",
    "structured_report",
    "to_bytes",
    "years_and_months",
]
