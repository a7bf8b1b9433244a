"""All sections of the settings put together, and the names that settings had in 0.1.0."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from boneage_node.exchange.settings import CommitmentSettings, DeliverySettings
from boneage_node.logs import LogSettings
from boneage_node.net.calling import Caller, Waits
from boneage_node.net.listening import Listening
from boneage_node.net.tls import TlsFiles
from boneage_node.reading.settings import ReadingSettings, ReportSettings
from boneage_node.spool.storage import Storage

ENVIRONMENT_PREFIX = "BONEAGE_"


class Settings(BaseModel, frozen=True, extra="forbid"):
    """All settings of a node. Made by `load_settings`; immutable, and safe to hand to another process.

    Each section is defined in the room that uses it, and taken whole by that room.
    """

    listening: Listening = Listening()
    tls: TlsFiles = TlsFiles()
    storage: Storage = Field(default_factory=Storage)  # its default depends on the environment
    reading: ReadingSettings = ReadingSettings()
    report: ReportSettings = ReportSettings()
    delivery: DeliverySettings = DeliverySettings()
    commitment: CommitmentSettings = CommitmentSettings()
    waits: Waits = Waits()
    logs: LogSettings = LogSettings()

    @property
    def caller(self) -> Caller:
        """The identity with which the node opens connections."""
        return Caller(self.listening.ae_title, self.tls, self.waits)


SECTIONS = {
    name: cast(type[BaseModel], section.annotation) for name, section in Settings.model_fields.items()
}
FIELDS: dict[str, FieldInfo] = {
    f"{section}.{name}": field
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}
"""Every setting by its full name, ``section.name``."""

FORMER_NAMES = {
    "ae_title": "listening.ae_title",
    "host": "listening.host",
    "port": "listening.port",
    "allowed_ae_titles": "listening.allowed_ae_titles",
    "allowed_addresses": "listening.allowed_addresses",
    "open_to_all": "listening.open_to_all",
    "max_associations": "listening.max_associations",
    "association_idle_seconds": "listening.idle_seconds",
    "tls_certificate": "tls.certificate",
    "tls_key": "tls.key",
    "tls_ca": "tls.ca",
    "data_dir": "storage.data_dir",
    "database_url": "storage.database_url",
    "spool_reserve_mib": "storage.reserve_mib",
    "quiet_seconds": "reading.quiet_seconds",
    "device": "reading.device",
    "model": "reading.model",
    "sex_unknown": "reading.sex_unknown",
    "batch_size": "reading.batch_size",
    "lease_seconds": "reading.lease_seconds",
    "job_max_attempts": "reading.max_attempts",
    "job_timeout_seconds": "reading.timeout_seconds",
    "send_to": "delivery.send_to",
    "fhir_to": "delivery.fhir_to",
    "send_refusals": "report.send_refusals",
    "send_pictures": "report.send_pictures",
    "attention_map": "report.attention_map",
    "sr_class": "report.sr_class",
    "delivery_max_attempts": "delivery.max_attempts",
    "backoff_base_seconds": "delivery.base_seconds",
    "backoff_cap_seconds": "delivery.cap_seconds",
    "request_commitment": "commitment.request",
    "commitment_wait_seconds": "commitment.wait_seconds",
    "commitment_max_attempts": "commitment.max_attempts",
    "known_peers": "commitment.known_peers",
    "log_format": "logs.format",
    "log_level": "logs.level",
}
"""Names of 0.1.0, without sections, that still work in files and in the environment."""


def variable_name(name: str) -> str:
    """The variable of the environment for a setting, ``BONEAGE_LISTENING_PORT`` for ``listening.port``."""
    return ENVIRONMENT_PREFIX + name.replace(".", "_").upper()
