"""From an answer to the report that is stored, and the documents of it that are sent."""

from __future__ import annotations

from datetime import datetime

from pydicom import Dataset

from .bone_age import Assessment, Refusal
from .pipeline import result
from .radiograph import Choice, read_dataset
from .report import DeviceIdentity, assessment_sr, fhir_bundle, json_bytes, refusal_sr, to_bytes
from .settings import Settings
from .store import DocumentForm, Job, NewDocument, NewReport, ReportKind, Store


class Reporter:
    """Makes reports of answers, their documents in the spool.

    Args:
        settings: The node's settings: what is sent where.
        store: The store.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._device = DeviceIdentity(name=settings.ae_title)

    def report(self, job: Job, choice: Choice, answer: Assessment | Refusal) -> NewReport:
        """The report of a reading; without documents where nothing is to be sent.

        Raises:
            SpoolFull: There is no room for them.
        """
        instance = next(i for i in job.instances if i.path == choice.path)
        source, created_at = _source(choice, job), datetime.now().astimezone()
        document = self._document(source, instance.sha256, answer, created_at)
        assessed = isinstance(answer, Assessment)
        documents = []
        if assessed or self._settings.send_refusals:
            documents.append(self._spooled(document))
            if self._settings.fhir_to:
                documents.append(self._spooled_fhir(source, instance.sha256, answer, created_at))
        return NewReport(
            instance_id=instance.id,
            kind=ReportKind.ASSESSMENT if assessed else ReportKind.REFUSAL,
            sop_instance_uid=document.SOPInstanceUID,
            result=result(choice, answer) | {"file": choice.path.name},
            documents=documents,
        )

    def _document(
        self, source: Dataset, source_sha256: str, answer: Assessment | Refusal, created_at: datetime
    ) -> Dataset:
        if isinstance(answer, Assessment):
            return assessment_sr(
                source, answer, source_sha256=source_sha256, created_at=created_at, device=self._device
            )
        return refusal_sr(
            source, answer, source_sha256=source_sha256, created_at=created_at, device=self._device
        )

    def _spooled(self, document: Dataset) -> NewDocument:
        return NewDocument(
            form=DocumentForm.SR,
            file_name=self._store.spool.write(to_bytes(document)),
            destinations=self._settings.send_to,
            sop_class_uid=document.SOPClassUID,
            sop_instance_uid=document.SOPInstanceUID,
        )

    def _spooled_fhir(
        self, source: Dataset, source_sha256: str, answer: Assessment | Refusal, created_at: datetime
    ) -> NewDocument:
        bundle = fhir_bundle(
            source, answer, source_sha256=source_sha256, created_at=created_at, device=self._device
        )
        return NewDocument(
            form=DocumentForm.FHIR,
            file_name=self._store.spool.write(json_bytes(bundle), ".json"),
            destinations=self._settings.fhir_to,
        )


def _source(choice: Choice, job: Job) -> Dataset:
    """The data set that the report refers to; of an unreadable file no more than its study."""
    try:
        return read_dataset(choice.path, pixels=False)
    except Refusal:
        source = Dataset()
        source.StudyInstanceUID = job.study_instance_uid
        return source
