"""Destinations as settings, database and commands name them; and what a further protocol takes."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import pytest
import typer
from support.store import claim_one, new_report, queue_study

from boneage_node.cli.doctor import doctor
from boneage_node.cli.echo import echo
from boneage_node.errors import NodeError
from boneage_node.exchange import destinations
from boneage_node.exchange.c_store import CStore
from boneage_node.exchange.deliveries import Deliveries
from boneage_node.exchange.destination import Destination
from boneage_node.exchange.destinations import parse
from boneage_node.exchange.fhir_folder import FhirFolder
from boneage_node.exchange.fhir_server import FhirServer
from boneage_node.exchange.settings import DeliverySettings
from boneage_node.exchange.stow_rs import StowRs
from boneage_node.exchange.threads import NamedThreads
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller
from boneage_node.settings import SettingsError, load_settings
from boneage_node.store import DatabaseAvailability, Store
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.outcome import Sent, Unreachable

SR, FHIR = DocumentForm.SR, DocumentForm.FHIR


@pytest.mark.parametrize(
    ("text", "form", "destination"),
    [
        ("PACS@10.0.0.5:104", SR, CStore(Station("PACS", "10.0.0.5", 104))),
        ("PACS@pacs:2762/tls", SR, CStore(Station("PACS", "pacs", 2762, tls=True))),
        ("https://pacs.example/dicom-web", SR, StowRs("https://pacs.example/dicom-web")),
        ("https://fhir.example/r4", FHIR, FhirServer("https://fhir.example/r4")),
        ("/var/lib/bone-ages", FHIR, FhirFolder(Path("/var/lib/bone-ages"))),
    ],
)
def test_a_destination_is_written_as_it_is_read(
    text: str, form: DocumentForm, destination: Destination
) -> None:
    assert parse(text, form) == destination
    assert parse(f" {text}/ " if text.startswith(("h", "/")) else f" {text} ", form) == destination
    assert str(destination) == text
    assert form in destination.forms
    assert pickle.loads(pickle.dumps(destination)) == destination


def test_a_dicom_station_alone_can_be_asked_for_storage_commitment() -> None:
    station = Station("PACS", "10.0.0.5", 104)
    pacs, service = CStore(station), StowRs("https://pacs.example/dicom-web")
    assert (pacs.can_commit, pacs.station) == (True, station)
    assert (service.can_commit, service.station) == (False, None)


@pytest.mark.parametrize(
    ("text", "form", "problem"),
    [
        (
            "PACS:104",
            SR,
            "'PACS:104' is not a destination such as PACS@10.0.0.5:104 (AE@host:port) or",
        ),
        ("PACS:104", SR, "PACS@10.0.0.5:2762/tls, nor a URL such as https://pacs.example/dicom-web"),
        ("https://pacs/studies", SR, "'https://pacs/studies' must be the base URL: leave /studies out"),
        ("https://me:secret@pacs", SR, "a URL must not hold a login or a password"),
        ("https://", FHIR, "'https://' is not a URL such as https://pacs.example/dicom-web"),
        (
            "PACS@host:104",
            FHIR,
            "is not the base URL of a FHIR server such as https://fhir.example/r4, nor",
        ),
        ("bone-ages", FHIR, "nor an absolute folder such as /var/lib/bone-ages"),
    ],
)
def test_what_is_no_destination_is_told_in_a_sentence(text: str, form: DocumentForm, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text, form)
    assert problem in str(caught.value)


def test_settings_with_destinations_are_read_without_their_libraries() -> None:
    program = (
        "import sys; from boneage_node.settings import load_settings;"
        "send_to, fhir_to = ['PACS@host:104', 'https://pacs'], ['https://fhir', '/a'];"
        "load_settings(delivery={'send_to': send_to, 'fhir_to': fhir_to});"
        "print([m for m in ('pynetdicom', 'pydicom', 'httpx', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@dataclass(frozen=True)
class Pigeon(Destination):
    """A further protocol: its class, and its name in the list."""

    loft: str
    forms: ClassVar[frozenset[DocumentForm]] = frozenset({SR, FHIR})
    example: ClassVar[str] = "a pigeon such as pigeon:loft"
    carried: ClassVar[list[tuple[str, bytes, str]]] = []

    @classmethod
    def parse(cls, text: str) -> Self | None:
        scheme, _, loft = text.partition(":")
        if scheme != "pigeon":
            return None
        if not loft:
            raise ValueError(f"'{text}' names no loft")
        return cls(loft)

    def __str__(self) -> str:
        return f"pigeon:{self.loft}"

    def send(self, files: Iterable[StoredFile], caller: Caller) -> Iterator[Sent]:
        for file in files:
            with file.open() as opened:
                self.carried.append((self.loft, opened.read(), caller.ae_title))
            yield Sent(file, None)

    def probe(self, caller: Caller, sop_classes: Collection[str] = ()) -> str:
        if self.loft == "nowhere":
            raise Unreachable("The pigeon came back.")
        return "coos"


@pytest.fixture
def pigeons(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, str]]:
    """What pigeons carried; the protocol is known in this test."""
    monkeypatch.setattr(destinations, "PROTOCOLS", [*destinations.PROTOCOLS, Pigeon])
    monkeypatch.setattr(Pigeon, "carried", [])
    return Pigeon.carried


@pytest.mark.usefixtures("pigeons")
def test_settings_take_a_further_protocol_and_check_it() -> None:
    delivery = load_settings(
        delivery={"send_to": ["PACS@host:104", " pigeon:loft "], "fhir_to": ["pigeon:attic"]}
    ).delivery
    assert delivery.send_to == (CStore(Station("PACS", "host", 104)), Pigeon("loft"))
    assert delivery.fhir_to == (Pigeon("attic"),)
    with pytest.raises(SettingsError, match="'pigeon:' names no loft"):
        load_settings(delivery={"send_to": ["pigeon:"]})
    with pytest.raises(SettingsError, match=", nor a pigeon such as pigeon:loft"):
        load_settings(delivery={"send_to": ["dove:loft"]})


@pytest.mark.usefixtures("pigeons")
def test_a_destination_is_sent_the_forms_that_it_takes_alone() -> None:
    by_form = DeliverySettings(
        send_to=["PACS@10.0.0.5:104", "pigeon:roof"], fhir_to=["https://fhir.example/r4", "pigeon:roof"]
    ).by_form()
    assert by_form == {
        SR: ("PACS@10.0.0.5:104", "pigeon:roof"),
        DocumentForm.PICTURE: ("PACS@10.0.0.5:104",),
        FHIR: ("https://fhir.example/r4", "pigeon:roof"),
    }


@pytest.mark.usefixtures("pigeons")
def test_echo_probes_a_further_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    echo("pigeon:loft")
    assert capsys.readouterr().out == "pigeon:loft coos.\n"
    with pytest.raises(NodeError, match="'pigeon:' names no loft"):
        echo("pigeon:")


@pytest.mark.usefixtures("pigeons")
def test_the_doctor_probes_a_further_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        doctor(["pigeon:loft", "pigeon:nowhere"], None, tmp_path, as_json=True)
    findings = {each["check"]: each for each in json.loads(capsys.readouterr().out)}
    assert findings["destination pigeon:loft"]["finding"] == "coos"
    assert findings["destination pigeon:nowhere"]["finding"] == "The pigeon came back."
    assert not findings["destination pigeon:nowhere"]["ok"]


def test_a_report_is_delivered_by_a_further_protocol(
    store: Store, pigeons: list[tuple[str, bytes, str]]
) -> None:
    queue_study(store)
    job = claim_one(store)
    report = new_report(store, job, to=[str(parse("pigeon:loft", SR))])
    store.queue.complete(job, "worker-1", [report])
    deliveries = Deliveries(
        DeliverySettings(),
        Caller("BONEAGE"),
        store,
        NamedThreads(threading.Event(), DatabaseAvailability()),
        lease_seconds=60.0,
        request_commitment=False,
    )
    deliveries.deliver("pigeon:loft", DocumentForm.SR)
    assert pigeons == [("loft", b"report 2.25.1", "BONEAGE")]
    assert store.outbox.counts()["done"] == 1
