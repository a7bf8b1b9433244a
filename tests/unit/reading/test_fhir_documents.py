"""What is made of an answer for FHIR destinations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.store import claim_one, queue_study

from boneage_node.bone_age import ReasonCode, Refusal
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.radiograph import choose_hand_image
from boneage_node.reading.reporter import Reporter
from boneage_node.reading.settings import ReportSettings
from boneage_node.store import NewReport, Store
from boneage_node.traffic.document import DocumentForm

FHIR_TO = ("https://fhir.example/r4", "/var/lib/bone-ages")


SEND_ALL = ReportSettings()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One engine will do: nothing here depends on it."""
    return f"sqlite:///{tmp_path}/boneage.sqlite3"


def refused(
    store: Store, content: bytes, settings: ReportSettings = SEND_ALL, **delivery: Sequence[str]
) -> NewReport:
    """The report of a study that was refused."""
    queue_study(store, data=content)
    job = claim_one(store)
    refusal = Refusal(ReasonCode.UNREADABLE_FILE)
    choice = choose_hand_image([job.instances[0].file])
    destinations = DeliverySettings(**delivery).by_form()
    return Reporter(settings, store, "BONEAGE", destinations).report(job, choice, refusal)


def test_without_fhir_destinations_there_is_no_bundle(store: Store) -> None:
    report = refused(store, b"no DICOM")
    assert DocumentForm.FHIR not in [document.form for document in report.documents]


def test_a_bundle_says_the_same_as_the_structured_report(store: Store, sample_dicom: Path) -> None:
    content = (sample_dicom / "girl-08y-dx.dcm").read_bytes()
    report = refused(store, content, send_to=["PACS@10.0.0.5:104"], fhir_to=FHIR_TO)
    document, _, fhir = report.documents
    assert (document.form, document.destinations) == (DocumentForm.SR, ("PACS@10.0.0.5:104",))
    assert (fhir.form, fhir.destinations) == (DocumentForm.FHIR, FHIR_TO)
    assert fhir.file_name.endswith(".json")
    bundle = json.loads(store.spool.path(fhir.file_name).read_bytes())
    known_as = bundle["entry"][1]["resource"]["identifier"]
    assert f"urn:oid:{document.sop_instance_uid}" in [identifier["value"] for identifier in known_as]


def test_refusals_that_are_not_to_be_sent_have_no_bundle(store: Store) -> None:
    assert refused(store, b"no DICOM", ReportSettings(send_refusals=False), fhir_to=FHIR_TO).documents == []
