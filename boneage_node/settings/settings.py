"""Every setting of the node, once: its type, default and meaning.

A setting is looked for in this order, the first that has it wins: flag on the command line, environment
(``BONEAGE_`` and the name in capitals), TOML file. ``docs/settings.md`` is written from this module by
``python -m boneage_node.settings.table``.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.sources import PydanticBaseSettingsSource

from boneage_node.logs import LogFormat, LogLevel
from boneage_node.net.addresses import is_loopback
from boneage_node.net.tls import TlsFiles
from boneage_node.retry import RetryPolicy

from .types import (
    AETitle,
    AETitles,
    DatabaseUrl,
    Destinations,
    Devices,
    FhirDestinations,
    File,
    Folder,
    Networks,
    SexUnknown,
    SrClass,
    Stations,
    default_data_dir,
)

ENVIRONMENT_PREFIX = "BONEAGE_"
_LONGEST_WAIT = 2**5
"""How many times `commitment_wait_seconds` an answer is waited for at the longest."""


class Settings(BaseSettings):
    """All settings of a node. Made by `load_settings`; immutable, and safe to hand to another process."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

    ae_title: AETitle = Field("BONEAGE", description="AE title of the node, as called and as calling.")
    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Anything but loopback needs `allowed_ae_titles` and "
        "`allowed_addresses`, or `open_to_all`.",
    )
    port: int = Field(11112, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    allowed_ae_titles: AETitles = Field(
        (), description="Calling AE titles that may send. Empty: any, but only on loopback or `open_to_all`."
    )
    allowed_addresses: Networks = Field(
        (), description="Addresses or networks (CIDR) that may send. Empty: any, with the same condition."
    )
    open_to_all: bool = Field(
        False, description="Listen beyond loopback with no allow-list: whoever reaches the port may send."
    )
    max_associations: int = Field(25, ge=1, description="Associations served at once; more are rejected.")
    association_idle_seconds: float = Field(
        60.0, gt=0, description="An association with nothing said for so long is aborted."
    )

    tls_certificate: File | None = Field(
        None,
        description="PEM file with the node's certificate (and those of intermediate authorities). Set: the "
        "port speaks TLS only, and the certificate is shown to `/tls` destinations that ask for one.",
    )
    tls_key: File | None = Field(
        None, description="PEM file with the private key of `tls_certificate`, without a passphrase."
    )
    tls_ca: File | None = Field(
        None,
        description="PEM file with the certificates of the authorities that vouch for peers. Set: callers "
        "must show a certificate of theirs to a node with `tls_certificate`, and `/tls` destinations are "
        "verified against them. Not set: callers need none, and those of the system vouch for destinations.",
    )

    data_dir: Folder = Field(
        default_factory=default_data_dir,
        description="Where the spool and the embedded database live. Holds patient data.",
    )
    database_url: DatabaseUrl = Field(
        None,
        description="SQLAlchemy URL of the database (`postgresql+psycopg://...`). "
        "Not set: SQLite in `data_dir`.",
    )
    spool_reserve_mib: int = Field(
        512, ge=0, description="Disk space in MiB kept free: below it C-STORE is refused with 0xA700."
    )
    quiet_seconds: float = Field(
        10.0,
        ge=0,
        description="A study is read so long after its last image, or at once when its association ends.",
    )

    device: Devices = Field(
        ("auto",),
        description="Where to read: `cpu`, `cuda:N`, or `auto` (every GPU there is, else the CPU). "
        "One worker each.",
    )
    model: str | None = Field(
        None,
        description="Model to read with: a name from `boneage-node models list`, or a folder. "
        "Not set: the default.",
    )
    sex_unknown: SexUnknown = Field(
        "refuse",
        description="A patient whose sex the header does not say: `refuse`, or read as `both`, which reports "
        "both readings, their mean, and an interval that holds the intervals of both.",
    )
    batch_size: int = Field(16, ge=1, description="Studies that a worker with a GPU reads at once.")
    lease_seconds: float = Field(
        60.0, ge=1, description="A job of a worker (or a delivery) not heard of for so long is taken over."
    )
    job_max_attempts: int = Field(
        3,
        ge=1,
        description="Attempts to read a study before it is set aside for `boneage-node studies retry`.",
    )

    job_timeout_seconds: float = Field(
        600.0, gt=0, description="A worker that reads for longer is ended, which costs an attempt."
    )

    send_to: Destinations = Field(
        (),
        description="Destinations of the reports: `AE@host:port` (C-STORE), `AE@host:port/tls` (C-STORE over "
        "TLS), or the base URL of a DICOMweb service, `https://pacs.example/dicom-web` (STOW-RS).",
    )
    fhir_to: FhirDestinations = Field(
        (),
        description="Where the same results go as FHIR R4: base URLs of servers, "
        "`https://fhir.example/r4`, or absolute folders.",
    )
    send_refusals: bool = Field(
        True, description="Send a report also when a study was refused, with the reason."
    )
    send_pictures: bool = Field(
        True,
        description="Send a picture (Secondary Capture) beside each report: many viewers draw nothing of "
        "a structured report.",
    )
    attention_map: bool = Field(
        False,
        description="Show in the picture where the networks looked: how much hiding each part of the hand "
        "changes its bone age. Costs some seconds a study on a CPU.",
    )
    sr_class: SrClass = Field(
        "comprehensive",
        description="SOP class of the structured reports: `comprehensive`, which most viewers show, or "
        "`comprehensive-3d`, as IHE AI Results asks for.",
    )
    delivery_max_attempts: int = Field(
        100,
        ge=1,
        description="Attempts to deliver a report before it is a dead letter (about two days by default).",
    )
    backoff_base_seconds: float = Field(
        5.0, gt=0, description="Longest wait after a first failure; doubles with each further one."
    )
    backoff_cap_seconds: float = Field(3600.0, gt=0, description="The wait after a failure is never longer.")

    request_commitment: bool = Field(
        False,
        description="Ask each PACS, after C-STORE, by storage commitment whether it keeps what it took; "
        "what it does not keep is sent again.",
    )
    commitment_wait_seconds: float = Field(
        3600.0,
        gt=0,
        description="How long to wait for the answer to a request for storage commitment before the next "
        "one; doubles with each.",
    )
    commitment_max_attempts: int = Field(
        6,
        ge=1,
        description="Requests for storage commitment before it is given up as unanswered "
        "(two and a half days by default).",
    )
    known_peers: Stations = Field(
        (),
        description="Where stations listen that ask this node for storage commitment, each `AE@host:port` or "
        "`AE@host:port/tls`; those of `send_to` are known. Others get their answer only on the association "
        "of their request.",
    )

    log_format: LogFormat = Field(
        "auto", description="`json`, `console`, or `auto`: console on a terminal, else JSON."
    )
    log_level: LogLevel = Field(
        "info", description="The least important lines to log: debug, info, warning or error."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load_settings` hands over: it merges the sources itself, to name them in errors."""
        return (init_settings,)

    @property
    def database(self) -> str:
        """The URL in use: `database_url`, or SQLite in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir / 'boneage.sqlite3'}"

    @property
    def spool_dir(self) -> Path:
        """Folder of the received and the written files."""
        return self.data_dir / "spool"

    @property
    def spool_reserve_bytes(self) -> int:
        """`spool_reserve_mib` in bytes."""
        return self.spool_reserve_mib * 1024 * 1024

    @property
    def job_policy(self) -> RetryPolicy:
        """When a study that could not be read is tried again."""
        return RetryPolicy(self.job_max_attempts, self.backoff_base_seconds, self.backoff_cap_seconds)

    @property
    def delivery_policy(self) -> RetryPolicy:
        """When a report that could not be delivered, or an answer, is sent again."""
        return RetryPolicy(self.delivery_max_attempts, self.backoff_base_seconds, self.backoff_cap_seconds)

    @property
    def commitment_policy(self) -> RetryPolicy:
        """How long an answer to a request for storage commitment is waited for, and how often it is made."""
        wait_seconds = self.commitment_wait_seconds
        return RetryPolicy(self.commitment_max_attempts, wait_seconds, _LONGEST_WAIT * wait_seconds)

    @property
    def tls(self) -> TlsFiles:
        """The files of TLS."""
        return TlsFiles(self.tls_certificate, self.tls_key, self.tls_ca)

    def unsafe_listening(self) -> str | None:
        """Say why the node must not listen as it is set, or None where it may.

        Whoever may send images makes the node write to its disk and to the PACS. So beyond loopback both
        lists are needed: an AE title alone is no secret, an address alone is shared by many programs.
        """
        if self.open_to_all or (self.allowed_ae_titles and self.allowed_addresses) or is_loopback(self.host):
            return None
        return (
            f"The node would listen on {self.host} to whoever reaches it. Set allowed_ae_titles and "
            "allowed_addresses (--allow-ae, --allow-address), or say that this is meant with open_to_all "
            "(--open-to-all)."
        )
