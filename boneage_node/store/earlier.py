"""Earlier reports of the node: of a study, and of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import distinct, func, select

from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result

from .courses import counting_readings, earlier_readings
from .part import Part
from .reports import Patient
from .tables import DocumentRow, ReportKind, ReportRow


@dataclass(frozen=True)
class Predecessor:
    """The structured report that the next one on the same study follows.

    Attributes:
        sop_class_uid: Its SOP class.
        sop_instance_uid: Its SOP instance.
        kind: What it says.
        number: How many structured reports there are of the study.
        created_at: When it was made.
        bone_age_months: What was read; None where it is a refusal.
    """

    sop_class_uid: str
    sop_instance_uid: str
    kind: ReportKind
    number: int
    created_at: datetime
    bone_age_months: float | None


class Earlier(Part):
    """Looks up earlier reports."""

    def report_of(self, study_id: int) -> Predecessor | None:
        """The latest structured report of a study that was made to be sent; None before there is one."""
        with self._transactions.reading() as session:
            query = (
                select(ReportRow, DocumentRow.sop_class_uid, DocumentRow.sop_instance_uid)
                .join(DocumentRow, DocumentRow.report_id == ReportRow.id)
                .where(ReportRow.study_id == study_id, DocumentRow.form == DocumentForm.SR)
                .order_by(ReportRow.id)
            )
            rows = session.execute(query).all()
        if not rows:
            return None
        report, sop_class_uid, sop_instance_uid = rows[-1]
        assert sop_class_uid is not None, "a DICOM document has both"
        assert sop_instance_uid is not None, "a DICOM document has both"
        return Predecessor(
            sop_class_uid,
            sop_instance_uid,
            report.kind,
            len(rows),
            report.created_at,
            report.result.bone_age_months,
        )

    def number_made_since(self, study_id: int, seconds: float) -> int:
        """How many reports on a study were made to be sent in the last so many seconds."""
        with self._transactions.reading() as session:
            since = session.now - timedelta(seconds=seconds)
            made = (
                select(func.count(distinct(ReportRow.id)))
                .join(DocumentRow, DocumentRow.report_id == ReportRow.id)
                .where(ReportRow.study_id == study_id, ReportRow.created_at > since)
            )
            return session.scalar(made) or 0

    def report_uids_of(self, study_id: int) -> list[str]:
        """SOP Instance UIDs of all reports of a study, sent or not, oldest first."""
        with self._transactions.reading() as session:
            query = select(ReportRow.sop_instance_uid).where(ReportRow.study_id == study_id)
            return list(session.scalars(query.order_by(ReportRow.id)))

    def assessments_of(self, patient: Patient, sex: str, study_id: int) -> list[tuple[date, Result]]:
        """Results and dates of a patient's other, earlier studies that count now, oldest first.

        An identifier may be given twice, by mistake or for everybody whose own is not known: without a date
        of birth, or with another one, or of another sex, it is not the same patient.

        Args:
            patient: The patient, and the day of the present study.
            sex: As which the patient is read.
            study_id: The present study.
        """
        if patient.digest is None or patient.birth_date is None or patient.study_date is None:
            return []
        with self._transactions.reading() as session:
            found = counting_readings(session, patient.digest, patient.birth_date)
            before = earlier_readings(found, study_id, sex, patient.study_date)
            return [(day, reading.result) for day, reading in before]
