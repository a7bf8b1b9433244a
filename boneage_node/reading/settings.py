"""Reading of studies and content of the reports: two sections of the settings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from boneage_node.retry import RetryPolicy

if TYPE_CHECKING:
    from pydicom.uid import UID

BACKOFF_BASE_SECONDS = 5.0
BACKOFF_CAP_SECONDS = 3600.0


def _device(value: str) -> str:
    """Check the name of a device."""
    if not re.fullmatch(r"auto|cpu|cuda:\d+", value):
        raise ValueError(f"'{value}' is not a device: auto, cpu or cuda:N")
    return value


Device = Annotated[str, AfterValidator(_device)]
SexUnknown = Literal["refuse", "both"]


class ReadingSettings(BaseModel, frozen=True, extra="forbid"):
    """With what, where and how often studies are read."""

    model: str | None = Field(
        None,
        description="Model to read with: a name from `boneage-node models list`, or a folder. "
        "Not set: the default.",
        json_schema_extra={"flag": "--model", "help": "Model of the zoo, or a folder with a manifest."},
    )
    device: tuple[Device, ...] = Field(
        ("auto",),
        min_length=1,
        description="Where to read: `cpu`, `cuda:N`, or `auto` (every GPU there is, else the CPU). "
        "One worker each.",
        json_schema_extra={"flag": "--device", "help": "auto, cpu or cuda:N."},
    )
    sex_unknown: SexUnknown = Field(
        "refuse",
        description="A patient whose sex the header does not say: `refuse`, or read as `both`, which reports "
        "both readings, their mean, and an interval that holds the intervals of both.",
        json_schema_extra={
            "flag": "--sex-unknown",
            "help": "Patients of unknown sex: refuse, or read as both and report each.",
        },
    )
    batch_size: int = Field(16, ge=1, description="Studies that a worker with a GPU reads at once.")
    quiet_seconds: float = Field(
        10.0,
        ge=0,
        description="A study is read so long after its last image, where its association was not released. "
        "While its station speaks on any association it waits longer, up to a minute.",
    )
    release_quiet_seconds: float = Field(
        5.0,
        ge=0,
        description="A study is read so long after its association was released, unless its station speaks "
        "on another one or begins a new one. Larger where a station takes longer from one image to the next; "
        "never longer than `quiet_seconds`.",
    )
    lease_seconds: float = Field(
        60.0, ge=1, description="A job of a worker (or a delivery) not heard of for so long is taken over."
    )
    timeout_seconds: float = Field(
        600.0, gt=0, description="A worker that reads for longer is ended, which costs an attempt."
    )
    max_attempts: int = Field(
        3,
        ge=1,
        description="Attempts to read a study before it is set aside for `boneage-node studies retry`.",
    )

    @property
    def retry(self) -> RetryPolicy:
        """When a reading that failed is tried again."""
        return RetryPolicy(self.max_attempts, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS)


class ReportSettings(BaseModel, frozen=True, extra="forbid"):
    """The reports of a reading that are sent, and their form."""

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
    sr_class: Literal["comprehensive", "comprehensive-3d"] = Field(
        "comprehensive",
        description="SOP class of the structured reports: `comprehensive`, which most viewers show, or "
        "`comprehensive-3d`, as IHE AI Results asks for.",
    )

    def sop_classes(self) -> tuple[UID, ...]:
        """The SOP classes of the DICOM objects that are sent."""
        from pydicom.uid import SecondaryCaptureImageStorage

        from boneage_node.report import SR_CLASSES

        pictures = (SecondaryCaptureImageStorage,) if self.send_pictures else ()
        return (SR_CLASSES[self.sr_class], *pictures)
