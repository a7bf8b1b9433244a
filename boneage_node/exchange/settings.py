"""Where results go, and whether they are kept there: two sections of the settings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainSerializer, PlainValidator, WithJsonSchema

from boneage_node.net.addresses import Station
from boneage_node.retry import RetryPolicy
from boneage_node.traffic.document import DocumentForm

from .destination import Destination
from .destinations import parse


def _dicom_destination(value: Any) -> Destination:
    return value if isinstance(value, Destination) else parse(str(value), DocumentForm.SR)


def _fhir_destination(value: Any) -> Destination:
    return value if isinstance(value, Destination) else parse(str(value), DocumentForm.FHIR)


def _station(value: Any) -> Station:
    return value if isinstance(value, Station) else Station.parse(str(value))


_AS_TEXT = (PlainSerializer(str), WithJsonSchema({"type": "string"}))
DicomDestination = Annotated[Destination, PlainValidator(_dicom_destination), *_AS_TEXT]
FhirDestination = Annotated[Destination, PlainValidator(_fhir_destination), *_AS_TEXT]
KnownStation = Annotated[Station, PlainValidator(_station), *_AS_TEXT]


class DeliverySettings(BaseModel, frozen=True, extra="forbid"):
    """Where results go, and how often a delivery is tried."""

    send_to: tuple[DicomDestination, ...] = Field(
        (),
        description="Destinations of the reports: `AE@host:port` (C-STORE), `AE@host:port/tls` (C-STORE over "
        "TLS), or the base URL of a DICOMweb service, `https://pacs.example/dicom-web` (STOW-RS).",
        json_schema_extra={
            "flag": "--send-to",
            "help": "Destination of the reports: AE@host:port, AE@host:port/tls, or the URL of a "
            "DICOMweb service.",
        },
    )
    fhir_to: tuple[FhirDestination, ...] = Field(
        (),
        description="Where the same results go as FHIR R4: base URLs of servers, "
        "`https://fhir.example/r4`, or absolute folders.",
        json_schema_extra={
            "flag": "--fhir-to",
            "help": "Base URL of a FHIR server, or absolute folder, for the results as FHIR.",
        },
    )
    max_attempts: int = Field(
        100,
        ge=1,
        description="Attempts to deliver a report before it is a dead letter (about two days by default).",
    )
    base_seconds: float = Field(
        5.0, gt=0, description="Longest wait after a first failure; doubles with each further one."
    )
    cap_seconds: float = Field(3600.0, gt=0, description="The wait after a failure is never longer.")

    def by_form(self) -> dict[DocumentForm, tuple[str, ...]]:
        """The destinations of each form of document, as the database has them; each takes what it can."""
        return {
            form: tuple(str(one) for one in destinations if form in one.forms)
            for form, destinations in (
                (DocumentForm.SR, self.send_to),
                (DocumentForm.PICTURE, self.send_to),
                (DocumentForm.FHIR, self.fhir_to),
            )
        }

    @property
    def retry(self) -> RetryPolicy:
        """When a delivery that failed is tried again."""
        return RetryPolicy(self.max_attempts, self.base_seconds, self.cap_seconds)


_LONGEST_WAIT = 2**5
"""Longest wait for a result, as a multiple of `CommitmentSettings.wait_seconds`."""


class CommitmentSettings(BaseModel, frozen=True, extra="forbid"):
    """Storage commitment: whether it is requested, and of whom it is known where they listen."""

    request: bool = Field(
        False,
        description="Request storage commitment of each PACS, after C-STORE, for what it took; "
        "what it does not keep is sent again.",
    )
    wait_seconds: float = Field(
        3600.0,
        gt=0,
        description="How long to wait for the result of a request for storage commitment before the next "
        "one; doubles with each.",
    )
    max_attempts: int = Field(
        6,
        ge=1,
        description="Requests for storage commitment before it is given up as unanswered "
        "(two and a half days by default).",
    )
    known_peers: tuple[KnownStation, ...] = Field(
        (),
        description="Where stations listen that request storage commitment of this node, each `AE@host:port` "
        "or `AE@host:port/tls`; those of `send_to` are known. Others get their result only on the "
        "association of their request.",
    )

    @property
    def retry(self) -> RetryPolicy:
        """The policy of repeating a request that gets no result."""
        return RetryPolicy(self.max_attempts, self.wait_seconds, _LONGEST_WAIT * self.wait_seconds)
