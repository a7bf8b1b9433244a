"""Reports of answers, to be stored, with the documents to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydicom import Dataset

from boneage_node.bone_age import Answer, Assessment, Attention, Course, EarlierReading, ReasonCode, Refusal
from boneage_node.errors import BoneAgeError
from boneage_node.radiograph import Choice, read_visit
from boneage_node.report import (
    SR_CLASSES,
    DeviceIdentity,
    Kind,
    Predecessor,
    Report,
    fhir_bundle,
    json_bytes,
    picture,
    report_instance_uid,
    structured_report,
    to_bytes,
)
from boneage_node.store import Job, NewDocument, NewReport, Patient, ReportKind, Store
from boneage_node.traffic.document import DocumentForm

from .result import result
from .settings import ReportSettings

REPORTS_AN_HOUR_MAX = 10
"""On one study. People correct a study a few times; a loop of machines goes on for ever."""


class TooManyReportsError(BoneAgeError):
    """A study was reported on so often that something must be sending it round and round."""

    def __init__(self) -> None:
        super().__init__(
            f"There were {REPORTS_AN_HOUR_MAX} reports on this study within an hour, and no more are made: "
            "see what sends it again and again. Then, or in an hour: boneage-node studies retry"
        )


class Reporter:
    """Makes reports of answers, their documents in the spool.

    Args:
        settings: What is sent of a reading.
        store: The store.
        ae_title: The node's AE title, by which reports name it.
        destinations: Where documents of each form are sent; nowhere where a form is not among them.
    """

    def __init__(
        self,
        settings: ReportSettings,
        store: Store,
        ae_title: str,
        destinations: Mapping[DocumentForm, tuple[str, ...]],
    ) -> None:
        self._settings = settings
        self._store = store
        self._destinations = dict(destinations)
        if not settings.send_pictures:
            self._destinations.pop(DocumentForm.PICTURE, None)
        self._device = DeviceIdentity(name=ae_title)
        self._sr_class = SR_CLASSES[settings.sr_class]

    @property
    def shows_attention(self) -> bool:
        """Whether a map of where the networks looked is asked for, and is sent anywhere."""
        return self._settings.attention_map and bool(self._destinations.get(DocumentForm.PICTURE))

    def report(
        self, job: Job, choice: Choice, answer: Answer, attention: Attention | None = None
    ) -> NewReport:
        """The report of a reading; without documents where nothing is to be sent, or it was said before.

        Args:
            job: The job that is done.
            choice: The image that was read or refused.
            answer: What came of it.
            attention: Where the networks looked, for the picture.

        Raises:
            SpoolFull: There is no room for them.
            TooManyReportsError: There would be one too many in an hour.
        """
        instance = next((i for i in job.instances if i.file.key == choice.file_key), None)
        source = _source(choice, job)
        patient = _patient(source)
        course = self._course(patient, job.study_id, answer)
        known = self._store.earlier.report_uids_of(job.study_id)
        report = Report(
            source=source,
            answer=answer,
            created_at=datetime.now().astimezone(),
            device=self._device,
            sop_class_uid=self._sr_class,
            course=course,
            predecessor=self._predecessor(job.study_id),
            sop_instance_uid=report_instance_uid(
                source,
                answer,
                choice.radiograph.pixels if choice.radiograph else None,
                self._device,
                sop_class_uid=self._sr_class,
                course=course,
                overtaken=known[:-1],
            ),
        )
        assessed = isinstance(answer, Assessment)
        to_send = self._is_said(answer) and report.sop_instance_uid not in known
        if to_send and self._store.earlier.number_made_since(job.study_id, 3600) >= REPORTS_AN_HOUR_MAX:
            raise TooManyReportsError
        return NewReport(
            instance_id=instance.id if instance else None,
            kind=ReportKind.ASSESSMENT if assessed else ReportKind.REFUSAL,
            sop_instance_uid=report.sop_instance_uid,
            result=result(choice.file_key, choice, answer, course=course),
            documents=self._documents(report, choice, attention) if to_send else [],
            patient=patient,
        )

    def _is_said(self, answer: Answer) -> bool:
        """Whether anybody is to hear of an answer: nobody has asked about what software made."""
        if isinstance(answer, Assessment):
            return True
        return self._settings.send_refusals and answer.code is not ReasonCode.NOTHING_TO_READ

    def _documents(self, report: Report, choice: Choice, attention: Attention | None) -> list[NewDocument]:
        pixels = choice.radiograph.pixels if choice.radiograph else None
        documents = []
        for form, destinations in self._destinations.items():
            if not destinations:
                continue
            if form is DocumentForm.FHIR:
                file_name = self._store.spool.write(json_bytes(fhir_bundle(report)), ".json")
                documents.append(NewDocument(form, file_name, destinations))
            else:
                is_sr = form is DocumentForm.SR
                dataset = structured_report(report) if is_sr else picture(report, pixels, attention)
                documents.append(self._spooled(form, dataset, destinations))
        return documents

    def _spooled(self, form: DocumentForm, dataset: Dataset, destinations: tuple[str, ...]) -> NewDocument:
        return NewDocument(
            form=form,
            file_name=self._store.spool.write(to_bytes(dataset)),
            destinations=destinations,
            sop_class_uid=dataset.SOPClassUID,
            sop_instance_uid=dataset.SOPInstanceUID,
        )

    def _predecessor(self, study_id: int) -> Predecessor | None:
        found = self._store.earlier.report_of(study_id)
        if found is None:
            return None
        return Predecessor(
            found.sop_class_uid,
            found.sop_instance_uid,
            Kind(found.kind),
            found.number,
            found.created_at,
            found.bone_age_months,
        )

    def _course(self, patient: Patient, study_id: int, answer: Answer) -> Course | None:
        """Earlier readings of the patient as the same sex."""
        if isinstance(answer, Refusal) or answer.sex is None or patient.study_date is None:
            return None
        earlier = [
            EarlierReading(
                made_on, reading.bone_age_months, reading.chronological_age_months, reading.model or ""
            )
            for made_on, reading in self._store.earlier.assessments_of(patient, answer.sex, study_id)
            if reading.bone_age_months is not None
        ]
        return Course(patient.study_date, earlier) if earlier else None


def _patient(source: Dataset) -> Patient:
    visit = read_visit(source)
    return Patient(visit.patient_digest, visit.birth_date, visit.study_date)


def _source(choice: Choice, job: Job) -> Dataset:
    """The data set that the report refers to; of an unreadable file no more than its study."""
    if choice.dataset is not None:
        return choice.dataset
    source = Dataset()
    source.StudyInstanceUID = job.study_instance_uid
    return source
