"""The protocols that documents are sent by, and the destination that a text names."""

from __future__ import annotations

from boneage_node.traffic.document import DocumentForm

from .c_store import CStore
from .destination import Destination
from .fhir_folder import FhirFolder
from .fhir_server import FhirServer
from .stow_rs import StowRs

PROTOCOLS: list[type[Destination]] = [CStore, StowRs, FhirServer, FhirFolder]
"""``send_to`` may name those that take structured reports, and ``fhir_to`` those that take FHIR."""


def parse(text: str, form: DocumentForm) -> Destination:
    """Read a destination as the settings, a command line or the database name it.

    Args:
        text: The text.
        form: What is sent there: the same URL may be a DICOMweb service and a FHIR server.

    Raises:
        ValueError: No protocol for such documents knows the text, or the one that does finds it wrong.
    """
    text = text.strip()
    protocols = [protocol for protocol in PROTOCOLS if form in protocol.forms]
    for protocol in protocols:
        destination = protocol.parse(text)
        if destination is not None:
            return destination
    raise ValueError(f"'{text}' is not {', nor '.join(protocol.example for protocol in protocols)}")
