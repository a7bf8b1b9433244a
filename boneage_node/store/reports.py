"""Reports on studies; the same reading is stored once, however often it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.result import Result
from boneage_node.traffic.uid import is_uid

from .database import Transaction, insert_if_new
from .leases import start_anew
from .part import columns_of
from .tables import DESTINATION_LENGTH, DeliveryRow, DocumentRow, ReportKind, ReportRow


@dataclass(frozen=True)
class NewDocument:
    """An object made of a report, its file in the spool.

    Attributes:
        form: What it is.
        file_name: Name in the spool.
        destinations: Everybody who gets it.
        sop_class_uid: SOP Class UID; None where it is no DICOM.
        sop_instance_uid: SOP Instance UID; None where it is no DICOM.

    Raises:
        ValueError: A UID is not one, or DICOM lacks one, or a destination is too long to be one.
    """

    form: DocumentForm
    file_name: str
    destinations: Sequence[str]
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None

    def __post_init__(self) -> None:
        uids = (self.sop_class_uid, self.sop_instance_uid)
        if self.form is not DocumentForm.FHIR and not all(uid and is_uid(uid) for uid in uids):
            raise ValueError("a DICOM document has a SOP Class UID and a SOP Instance UID")
        if any(len(destination) > DESTINATION_LENGTH for destination in self.destinations):
            raise ValueError(f"a destination has {DESTINATION_LENGTH} characters at most")


@dataclass(frozen=True)
class Patient:
    """Patient and date of a study, by which later studies of the patient find it.

    Attributes:
        digest: Of PatientID and its issuer, 64 hex digits; None where there is no PatientID.
        birth_date: PatientBirthDate, where the header has one.
        study_date: When the image was made, where the header says.
    """

    digest: str | None = None
    birth_date: date | None = None
    study_date: date | None = None


@dataclass(frozen=True)
class NewReport:
    """Report of a worker, to be stored by ``Queue.complete``.

    Attributes:
        instance_id: The image that was read; None when a study is refused for want of one.
        kind: Assessment or refusal.
        sop_instance_uid: Derived from what was read: the same reading has the same UID.
        result: What the reading came to.
        documents: What is made of it, to be sent; in this order.
        patient: Whose it is.

    Raises:
        ValueError: The UID is not one.
    """

    instance_id: int | None
    kind: ReportKind
    sop_instance_uid: str
    result: Result
    documents: Sequence[NewDocument] = ()
    patient: Patient = Patient()

    def __post_init__(self) -> None:
        if not is_uid(self.sop_instance_uid):
            raise ValueError("the UID of the report is not one")


def store_report(session: Transaction, study_id: int, report: NewReport) -> bool:
    """Store a report, its documents and their deliveries, in the transaction that ends the job.

    Returns:
        False when the same reading is there already: nothing was stored.
    """
    columns = columns_of(ReportRow, report) | columns_of(ReportRow, report.patient)
    columns |= {"patient": report.patient.digest, "study_id": study_id, "created_at": session.now}
    if not insert_if_new(session, ReportRow, ["sop_instance_uid"], **columns):
        return False
    report_id = session.scalars(
        select(ReportRow.id).where(ReportRow.sop_instance_uid == report.sop_instance_uid)
    ).one()
    for document in report.documents:
        row = DocumentRow(report_id=report_id, **columns_of(DocumentRow, document))
        session.add(row)
        session.flush()
        for destination in dict.fromkeys(document.destinations):
            delivery = DeliveryRow(
                document_id=row.id,
                study_id=study_id,
                destination=destination,
                form=row.form,
                created_at=session.now,
            )
            start_anew(delivery, session.now)
            session.add(delivery)
    return True
