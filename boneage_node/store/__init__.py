"""The store: what was received, what is to be done with it, and what came of it.

SQLAlchemy tables and a folder of files. Knows no DICOM service and no model.
"""

from .availability import DatabaseAvailability
from .commitments import CommitmentState
from .database import (
    DatabaseError,
    SchemaMismatch,
    check_schema,
    database_exists,
    is_database_away,
    masked,
    migrate,
    open_engine,
)
from .details import DeliveryDetail, ReportDetail, Retried, StudyDetail, StudySummary
from .intake import Intake
from .leases import leases_kept
from .outbox import DeliveryTask
from .queue import Job, LeaseLost
from .reports import NewDocument, NewReport, Patient
from .store import Store
from .studies import NoSuchStudy
from .tables import DeliveryOutcome, ReportKind, Status, StudyState
from .trouble import Trouble, trouble

__all__ = [
    "CommitmentState",
    "DatabaseAvailability",
    "DatabaseError",
    "DeliveryDetail",
    "DeliveryOutcome",
    "DeliveryTask",
    "Intake",
    "Job",
    "LeaseLost",
    "NewDocument",
    "NewReport",
    "NoSuchStudy",
    "Patient",
    "ReportDetail",
    "ReportKind",
    "Retried",
    "SchemaMismatch",
    "Status",
    "Store",
    "StudyDetail",
    "StudyState",
    "StudySummary",
    "Trouble",
    "check_schema",
    "database_exists",
    "is_database_away",
    "leases_kept",
    "masked",
    "migrate",
    "open_engine",
    "trouble",
]
