"""Courses: which readings count for a patient, and which reports tell of readings that do so no more.

A reading counts while the newest report of its study is that reading and is the patient's, while its image
lies in that study, and while the study is at rest: one that is on its way again, with an image that was put
right, for example, is about to say something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import func, select

from .arrivals import home_of
from .database import Transaction
from .tables import InstanceRow, ReportKind, ReportRow, StudyRow, StudyState

PatientKey = tuple[str, date]
"""Digest of the identifier, and date of birth: together they are a patient."""


def counting_readings(session: Transaction, digest: str, birth_date: date) -> Sequence[ReportRow]:
    """The readings that count for a patient, one a study, oldest first."""
    reported_on = select(ReportRow.study_id).where(ReportRow.patient == digest)
    newest = (
        select(func.max(ReportRow.id)).where(ReportRow.study_id.in_(reported_on)).group_by(ReportRow.study_id)
    )
    return session.scalars(
        select(ReportRow)
        .join(StudyRow, StudyRow.id == ReportRow.study_id)
        .join(InstanceRow, InstanceRow.id == ReportRow.instance_id)
        .where(
            ReportRow.id.in_(newest),
            ReportRow.kind == ReportKind.ASSESSMENT,
            ReportRow.patient == digest,
            ReportRow.birth_date == birth_date,
            StudyRow.state == StudyState.REPORTED,
            home_of(InstanceRow.sop_instance_uid) == ReportRow.study_id,
        )
        .order_by(ReportRow.study_date, ReportRow.id)
    ).all()


def earlier_readings(
    readings: Iterable[ReportRow], study_id: int, sex: str | None, before: date
) -> list[tuple[date, ReportRow]]:
    """Those of a patient's readings, with their dates, that the report on a later study tells of."""
    return [
        (reading.study_date, reading)
        for reading in readings
        if reading.study_id != study_id
        and reading.study_date is not None
        and reading.study_date < before
        and reading.result.sex == sex
        and reading.result.bone_age_months is not None
    ]


def patient_of_newest(session: Transaction, study_id: int) -> set[PatientKey]:
    """Whose the newest report of a study is; empty where there is none, or it does not say."""
    newest = select(ReportRow).where(ReportRow.study_id == study_id).order_by(ReportRow.id.desc()).limit(1)
    row = session.scalars(newest).one_or_none()
    if row is None or row.patient is None or row.birth_date is None:
        return set()
    return {(row.patient, row.birth_date)}


def outdated_studies(session: Transaction, patient: PatientKey, changed: StudyRow) -> list[StudyRow]:
    """A patient's studies whose newest report tells of another course than it would today, locked.

    The study that has just changed is not among them: its report is of today.

    What came in later than the report is none of its faults: a study that is read for the first time makes no
    report of another one anew. What had been read by then and was put right since does, and so does what was
    on its way just then.
    """
    ids = select(ReportRow.study_id).where(ReportRow.patient == patient[0], ReportRow.study_id != changed.id)
    # Locked before anything is compared: who is about to report on one of them has done so then.
    locked = select(StudyRow).where(StudyRow.id.in_(ids)).order_by(StudyRow.id).with_for_update()
    studies = {study.id: study for study in session.scalars(locked.execution_options(populate_existing=True))}
    readings = counting_readings(session, *patient)
    first = _first_readings(session, patient)
    return [
        studies[reading.study_id]
        for reading in readings
        if reading.study_id in studies and not _holds(reading, readings, first)
    ]


def _first_readings(session: Transaction, patient: PatientKey) -> dict[int, int]:
    """For each study the number of the first report that was a reading of this patient."""
    digest, birth_date = patient
    rows: Sequence[Any] = session.execute(
        select(ReportRow.study_id, func.min(ReportRow.id))
        .where(
            ReportRow.kind == ReportKind.ASSESSMENT,
            ReportRow.patient == digest,
            ReportRow.birth_date == birth_date,
        )
        .group_by(ReportRow.study_id)
    ).all()
    return dict(rows)


def _holds(report: ReportRow, readings: Sequence[ReportRow], first: dict[int, int]) -> bool:
    """Whether a report tells of just those earlier readings that it would tell of now."""
    if report.study_date is None or report.result.sex is None:
        return True  # It tells of none.
    told = report.result.earlier.readings if report.result.earlier else ()
    due = earlier_readings(readings, report.study_id, report.result.sex, report.study_date)
    return [(each.study_date, each.bone_age_months) for each in told] == [
        (day.isoformat(), reading.result.bone_age_months)
        for day, reading in due
        if first[reading.study_id] < report.id
    ]
