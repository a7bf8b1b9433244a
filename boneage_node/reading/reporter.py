"""From an answer to the report that is stored, and the documents of it that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset

from boneage_node.bone_age import Answer, Assessment, Attention, Course, EarlierReading, Refusal
from boneage_node.radiograph import Choice, read_visit
from boneage_node.report import (
    SR_CLASSES,
    DeviceIdentity,
    Kind,
    Predecessor,
    SourceImage,
    assessment_sr,
    draw_picture,
    draw_refusal_picture,
    fhir_bundle,
    json_bytes,
    refusal_sr,
    report_instance_uid,
    secondary_capture,
    to_bytes,
)
from boneage_node.store import DocumentForm, Job, NewDocument, NewReport, Patient, ReportKind, Store

from .result import result
from .settings import ReportSettings


@dataclass(frozen=True)
class _Occasion:
    """What the documents of one answer have in common.

    Attributes:
        source: Data set of the image, without its pixels.
        pixels: The image where it was decoded, as ``Radiograph.pixels``.
        created_at: When the documents are made.
        course: Earlier readings of the patient, where there are any.
        predecessor: The report on the same study that the new one follows.
        sop_instance_uid: Of the structured report, by which the other documents are known too.
        attention: Where the networks looked, where that was asked for.
    """

    source: Dataset
    pixels: npt.NDArray[np.float32] | None
    created_at: datetime
    course: Course | None
    predecessor: Predecessor | None
    sop_instance_uid: str
    attention: Attention | None


class Reporter:
    """Makes reports of answers, their documents in the spool.

    Args:
        settings: What is sent of a reading.
        store: The store.
        ae_title: The node's AE title, by which reports name it.
        send_to: Destinations of reports and pictures.
        fhir_to: Destinations of results as FHIR.
    """

    def __init__(
        self,
        settings: ReportSettings,
        store: Store,
        ae_title: str,
        *,
        send_to: Sequence[str] = (),
        fhir_to: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._store = store
        self._send_to = tuple(send_to)
        self._fhir_to = tuple(fhir_to)
        self._device = DeviceIdentity(name=ae_title)
        self._sr_class = SR_CLASSES[settings.sr_class]

    @property
    def shows_attention(self) -> bool:
        """Whether a map of where the networks looked is asked for, and is sent anywhere."""
        return self._settings.attention_map and self._settings.send_pictures and bool(self._send_to)

    def report(
        self,
        job: Job,
        choice: Choice,
        answer: Answer,
        attention: Attention | None = None,
    ) -> NewReport:
        """The report of a reading; without documents where nothing is to be sent, or it was said before.

        Args:
            job: The job that is done.
            choice: The image that was read or refused.
            answer: What came of it.
            attention: Where the networks looked, for the picture.

        Raises:
            SpoolFull: There is no room for them.
        """
        instance = next(i for i in job.instances if i.file.key == choice.file.key)
        source = _source(choice, job)
        patient = _patient(source)
        course = self._course(patient, job.study_id, answer)
        known = self._store.earlier.report_uids_of(job.study_id)
        occasion = _Occasion(
            source=source,
            pixels=choice.radiograph.pixels if choice.radiograph else None,
            created_at=datetime.now().astimezone(),
            course=course,
            predecessor=self._predecessor(job.study_id),
            sop_instance_uid=self._report_uid(known, source, answer, instance.sha256, course),
            attention=attention,
        )
        assessed = isinstance(answer, Assessment)
        sent = assessed or self._settings.send_refusals
        said = occasion.sop_instance_uid in known
        return NewReport(
            instance_id=instance.id,
            kind=ReportKind.ASSESSMENT if assessed else ReportKind.REFUSAL,
            sop_instance_uid=occasion.sop_instance_uid,
            result=result(instance.file.key, choice, answer, course=occasion.course),
            documents=self._documents(occasion, answer) if sent and not said else [],
            patient=patient,
        )

    def _documents(self, occasion: _Occasion, answer: Answer) -> list[NewDocument]:
        documents = []
        if self._send_to:
            structured = self._structured(occasion, answer)
            documents.append(self._spooled(DocumentForm.SR, structured))
            if self._settings.send_pictures:
                picture = self._picture(occasion, answer, structured.InstanceNumber)
                documents.append(self._spooled(DocumentForm.PICTURE, picture))
        if self._fhir_to:
            documents.append(self._spooled_fhir(occasion, answer))
        return documents

    def _structured(self, occasion: _Occasion, answer: Answer) -> Dataset:
        """The structured report."""
        if isinstance(answer, Refusal):
            return refusal_sr(
                occasion.source,
                answer,
                sop_instance_uid=occasion.sop_instance_uid,
                created_at=occasion.created_at,
                device=self._device,
                predecessor=occasion.predecessor,
            )
        return assessment_sr(
            occasion.source,
            answer,
            sop_instance_uid=occasion.sop_instance_uid,
            created_at=occasion.created_at,
            device=self._device,
            sop_class_uid=self._sr_class,
            course=occasion.course,
            predecessor=occasion.predecessor,
        )

    def _picture(self, occasion: _Occasion, answer: Answer, number: int) -> Dataset:
        """The picture beside the structured report of that InstanceNumber."""
        return secondary_capture(
            occasion.source,
            self._drawn(occasion, answer),
            report_instance_uid=occasion.sop_instance_uid,
            created_at=occasion.created_at,
            device=self._device,
            of_hand=isinstance(answer, Assessment),
            laterality=answer.laterality if isinstance(answer, Assessment) else None,
            number=number,
        )

    def _drawn(self, occasion: _Occasion, answer: Answer) -> Image.Image:
        if isinstance(answer, Refusal):
            return draw_refusal_picture(occasion.pixels, answer, self._device)
        assert occasion.pixels is not None, "what was assessed was decoded"
        return draw_picture(occasion.pixels, answer, occasion.course, self._device, occasion.attention)

    def _spooled(self, form: DocumentForm, document: Dataset) -> NewDocument:
        return NewDocument(
            form=form,
            file_name=self._store.spool.write(to_bytes(document)),
            destinations=self._send_to,
            sop_class_uid=document.SOPClassUID,
            sop_instance_uid=document.SOPInstanceUID,
        )

    def _spooled_fhir(self, occasion: _Occasion, answer: Answer) -> NewDocument:
        bundle = fhir_bundle(
            occasion.source,
            answer,
            report_instance_uid=occasion.sop_instance_uid,
            created_at=occasion.created_at,
            device=self._device,
            course=occasion.course,
        )
        return NewDocument(
            form=DocumentForm.FHIR,
            file_name=self._store.spool.write(json_bytes(bundle), ".json"),
            destinations=self._fhir_to,
        )

    def _predecessor(self, study_id: int) -> Predecessor | None:
        found = self._store.earlier.report_of(study_id)
        if found is None:
            return None
        return Predecessor(found.sop_class_uid, found.sop_instance_uid, Kind(found.kind), found.number)

    def _report_uid(
        self,
        known: Sequence[str],
        source: Dataset,
        answer: Answer,
        sha256: str,
        course: Course | None,
    ) -> str:
        """SOPInstanceUID of the report: that of the report before, where it said the same.

        A study can come back to an answer after another one: by an older model, for example. A PACS shows the
        newest report, which would go on to be the other one, so the answer gets a new report then.
        """
        image, overtaken = SourceImage.of(source), known[:-1]
        uids = (
            report_instance_uid(
                image,
                answer,
                sha256,
                self._device,
                sop_class_uid=self._sr_class,
                course=course,
                returns=returns,
            )
            for returns in count()
        )
        return next(uid for uid in uids if uid not in overtaken)

    def _course(self, patient: Patient, study_id: int, answer: Answer) -> Course | None:
        """Earlier readings of the patient as the same sex; another sex is a mistake, here or there."""
        if isinstance(answer, Refusal) or answer.sex is None or patient.study_date is None:
            return None
        earlier = [
            EarlierReading(
                found.study_date,
                found.result.bone_age_months,
                found.result.chronological_age_months,
                found.result.model or "",
            )
            for found in self._store.earlier.assessments_of(patient, study_id)
            if found.result.sex == answer.sex and found.result.bone_age_months is not None
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
