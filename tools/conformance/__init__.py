"""The DICOM conformance statement (PS3.2), written from the code by ``make docs``."""

from .statement import conformance_markdown

__all__ = ["conformance_markdown"]
