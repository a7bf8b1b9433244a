"""Reports: what a worker found out about a study, stored once however often it is found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from .database import insert_if_new
from .tables import UID, DeliveryRow, ReportKind, ReportRow, Status, StudyRow


@dataclass(frozen=True)
class NewReport:
    """What a worker found out, to be stored by ``Queue.complete``.

    Attributes:
        instance_id: The image that was read; None when a study is refused for want of one.
        kind: Assessment or refusal.
        sop_instance_uid: Derived from what was read: the same reading has the same UID.
        result: The object that ``assess --json`` prints.
        file_name: Name in the spool of the DICOM object to be sent; None when nothing is sent.
        sop_class_uid: SOP Class UID of that object; None when nothing is sent.

    Raises:
        ValueError: A UID is not one, or one of file and SOP class is there without the other.
    """

    instance_id: int | None
    kind: ReportKind
    sop_instance_uid: str
    result: Mapping[str, Any]
    file_name: str | None = None
    sop_class_uid: str | None = None

    def __post_init__(self) -> None:
        if (self.file_name is None) != (self.sop_class_uid is None):
            raise ValueError("a report to be sent has a file and a SOP class")
        if not all(UID.fullmatch(uid) for uid in (self.sop_instance_uid, self.sop_class_uid or "0")):
            raise ValueError("a UID of the report is not one")


def store_report(
    session: Session, study: StudyRow, outcome: NewReport, destinations: Sequence[str], now: datetime
) -> bool:
    """Store a report and its deliveries, to do at once, in the transaction that ends the job.

    Returns:
        False when the same reading is there already: nothing was stored.
    """
    is_new = insert_if_new(
        session,
        ReportRow,
        ["sop_instance_uid"],
        study_id=study.id,
        instance_id=outcome.instance_id,
        kind=outcome.kind,
        sop_class_uid=outcome.sop_class_uid,
        sop_instance_uid=outcome.sop_instance_uid,
        file_name=outcome.file_name,
        result=dict(outcome.result),
        created_at=now,
    )
    if is_new and outcome.file_name is not None:
        report_id = session.scalars(
            select(ReportRow.id).where(ReportRow.sop_instance_uid == outcome.sop_instance_uid)
        ).one()
        for destination in dict.fromkeys(destinations):
            session.add(
                DeliveryRow(
                    report_id=report_id,
                    study_id=study.id,
                    destination=destination,
                    status=Status.TODO,
                    created_at=now,
                    scheduled_at=now,
                )
            )
    return is_new
