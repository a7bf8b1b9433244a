"""The result of a reading, as the database keeps it and ``--json`` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any


class ResultStatus(StrEnum):
    """Outcome of a reading."""

    ASSESSED = "assessed"
    REFUSED = "refused"
    FAILED = "failed"
    """The reading broke off: the machine's fault, not the image's."""
    NOT_CHOSEN = "not chosen"
    """Another image of the study was read."""


@dataclass(frozen=True)
class EarlierBoneAge:
    """Bone age of the same patient in an earlier study; ``study_date`` is ``YYYY-MM-DD``."""

    study_date: str
    bone_age_months: float


@dataclass(frozen=True)
class EarlierBoneAges:
    """Earlier readings of the patient and the rate since.

    Attributes:
        readings: Oldest first.
        since: Date of the reading that the rate is told from, ``YYYY-MM-DD``; None where it cannot be told.
        bone_age_months_per_month: The rate, or None.
        repeatability_months: Smallest real change: a smaller one may come of re-taking the image alone. None
            without a rate, and with models that do not tell.
    """

    readings: tuple[EarlierBoneAge, ...]
    since: str | None
    bone_age_months_per_month: float | None
    repeatability_months: float | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EarlierBoneAges:
        """The readings of a JSON object as ``Result.to_json`` writes it."""
        return cls(
            readings=tuple(EarlierBoneAge(**reading) for reading in value["readings"]),
            since=value["since"],
            bone_age_months_per_month=value["bone_age_months_per_month"],
            repeatability_months=value.get("repeatability_months"),
        )


@dataclass(frozen=True)
class Result:
    """The result of a reading; None is what is not known. The fields are the keys of its JSON object.

    Attributes:
        file: What was read, by its path or its key in the spool.
        status: What it came to.
        sop_instance_uid: The instance that was read or refused.
        reason: Reason code of a refusal, or class of the error that a failed reading ended with.
        sex: As the header says, ``M`` or ``F``.
        chronological_age_months: Age at the study.
        bone_age_months: The reading; the mean of both where sex is unknown.
        bone_age_months_by_sex: The reading as each sex: one entry, or two where sex is unknown.
        interval_months: (low, high) of the prediction interval of the bone age as the mean of readers; of a
            reader's label where ``reader_interval_months`` is None.
        reader_interval_months: (low, high) of the wider one of a reader's label; None with models that do not
            tell the two apart.
        z_score: In Brush Foundation standard deviations.
        probability_outside_normal: That the hand is outside 2 SD of the chronological age, 0 to 1, to the
            percent; None without a z-score, and without ``reader_interval_months``.
        determination: ``delayed``, ``normal``, ``advanced`` or ``indeterminate``.
        determination_certain: Of what is delayed or advanced, whether all of the interval is.
        agreement: How well the networks agree, ``usual`` or ``low``.
        cautions: What to look at before the reading is used: ``fingers-outline``, ``point-off-finger``.
        earlier: Earlier readings of the patient, where a node knows any.
        laterality: Which hand, ``L`` or ``R``.
        model: What read it: name, version, and the first digits of the weights' sha256.
        elapsed_ms: How long the reading took, where it was measured.
    """

    file: str
    sop_instance_uid: str | None
    status: ResultStatus
    reason: str | None = None
    sex: str | None = None
    chronological_age_months: float | None = None
    bone_age_months: float | None = None
    bone_age_months_by_sex: Mapping[str, float] | None = None
    interval_months: tuple[float, float] | None = None
    reader_interval_months: tuple[float, float] | None = None
    z_score: float | None = None
    probability_outside_normal: float | None = None
    determination: str | None = None
    determination_certain: bool | None = None
    agreement: str | None = None
    cautions: tuple[str, ...] | None = None
    earlier: EarlierBoneAges | None = None
    laterality: str | None = None
    model: str | None = None
    elapsed_ms: float | None = None

    @classmethod
    def failed(cls, file: str, reason: str) -> Result:
        """The result of a file whose reading broke off."""
        return cls(file, None, ResultStatus.FAILED, reason)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object; all keys are always there."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Result:
        """The result of a JSON object; keys that it lacks, as those of older versions may, are None.

        Raises:
            KeyError: It says neither what was read nor what it came to.
        """
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        interval, of_reader = value.get("interval_months"), value.get("reader_interval_months")
        earlier, cautions = value.get("earlier"), value.get("cautions")
        return cls(
            **known
            | {
                "file": value["file"],
                "sop_instance_uid": value.get("sop_instance_uid"),
                "status": ResultStatus(value["status"]),
                "interval_months": tuple(interval) if interval else None,
                "reader_interval_months": tuple(of_reader) if of_reader else None,
                "cautions": None if cautions is None else tuple(cautions),
                "earlier": EarlierBoneAges.from_json(earlier) if earlier else None,
            }
        )
