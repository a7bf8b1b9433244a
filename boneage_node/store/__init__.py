"""The store: what was received, what is to be done with it, and what came of it.

SQLAlchemy tables and a folder of files. Knows no DICOM service and no model.
"""

from boneage_node.traffic.commitment import (
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    FailureReason,
    ReferencedSop,
    TooManyRequests,
)
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.received import Accepted, NotAcceptable, Received

from .commitment_requests import CommitmentRequests
from .commitments import Commitments, CommitmentState, Reported
from .database import SchemaMismatch, check_schema, migrate, open_engine
from .earlier import EarlierAssessment, Predecessor
from .intake import Intake
from .outbox import DeliveryTask, Outbox
from .queue import Job, LeaseLost, Queue, StoredInstance
from .reports import NewDocument, NewReport, Patient
from .store import Store
from .studies import NoSuchStudy, ReportDetail, Retried, Studies, StudyDetail, StudySummary
from .tables import EventKind, ReportKind, Status, StudyState

__all__ = [
    "Accepted",
    "CommitmentRequest",
    "CommitmentRequests",
    "CommitmentResult",
    "CommitmentState",
    "Commitments",
    "DeliveryTask",
    "DocumentForm",
    "EarlierAssessment",
    "EventKind",
    "FailedReference",
    "FailureReason",
    "Intake",
    "Job",
    "LeaseLost",
    "NewDocument",
    "NewReport",
    "NoSuchStudy",
    "NotAcceptable",
    "Outbox",
    "Patient",
    "Predecessor",
    "Queue",
    "Received",
    "ReferencedSop",
    "ReportDetail",
    "ReportKind",
    "Reported",
    "Retried",
    "SchemaMismatch",
    "Status",
    "Store",
    "StoredInstance",
    "Studies",
    "StudyDetail",
    "StudyState",
    "StudySummary",
    "TooManyRequests",
    "check_schema",
    "migrate",
    "open_engine",
]
