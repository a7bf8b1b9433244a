"""The DICOM conformance statement (PS3.2), written from the code: ``python -m boneage_node.conformance``."""

from .statement import conformance_markdown

__all__ = ["conformance_markdown"]
