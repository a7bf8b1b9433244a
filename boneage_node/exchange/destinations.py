"""Sending to a destination, by the protocol that the form of its name stands for.

For DICOM ``AE@host:port`` is C-STORE (with ``/tls`` behind it, over TLS), and an ``http(s)`` URL is STOW-RS.
For FHIR a URL is a server, and an absolute path is a folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from boneage_node.dicomweb import query, stow
from boneage_node.dimse import store_scu
from boneage_node.net.addresses import Station, is_url
from boneage_node.net.calling import Caller
from boneage_node.net.http import HttpClient
from boneage_node.settings import Settings
from boneage_node.store import DeliveryTask
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Sent

from . import fhir_folder, fhir_server


def deliver(destination: str, tasks: Sequence[DeliveryTask], settings: Settings) -> Iterator[Sent]:
    """Send the files of deliveries to their common destination, in their order.

    Args:
        destination: As `Settings.send_to` or `Settings.fhir_to` holds it.
        tasks: Deliveries to that destination.
        settings: The node's settings.

    Yields:
        For each file, as soon as it is known, what became of it.
    """
    bundles = [LocalFile(task.path) for task in tasks if task.form is DocumentForm.FHIR]
    if bundles:
        yield from _deliver_fhir(destination, bundles)
    files = [LocalFile(task.path) for task in tasks if task.form is not DocumentForm.FHIR]
    if files:
        yield from _deliver_dicom(destination, files, settings)


def is_by_c_store(task: DeliveryTask) -> bool:
    """Whether a delivery is sent by C-STORE, to a station that can be asked for storage commitment."""
    return task.form is not DocumentForm.FHIR and not is_url(task.destination)


def _deliver_dicom(destination: str, files: Sequence[LocalFile], settings: Settings) -> Iterator[Sent]:
    if is_url(destination):
        return stow.send(HttpClient(destination), files)
    return store_scu.send(Station.parse(destination), files, Caller(settings.ae_title, settings.tls))


def _deliver_fhir(destination: str, bundles: Sequence[LocalFile]) -> Iterator[Sent]:
    if is_url(destination):
        return fhir_server.send(HttpClient(destination), bundles)
    return fhir_folder.send(Path(destination), bundles)


def probe(destination: str, settings: Settings) -> str:
    """Ask a destination whether it is there, at little cost.

    Returns:
        What it answered and when, to be read after its name: ``answers C-ECHO, after 12 ms``.

    Raises:
        Unreachable: It is not, or does not speak the protocol.
    """
    if is_url(destination):
        return f"answers QIDO-RS, after {1000 * query.probe(HttpClient(destination)):.0f} ms"
    seconds = store_scu.echo(Station.parse(destination), Caller(settings.ae_title, settings.tls))
    return f"answers C-ECHO, after {1000 * seconds:.0f} ms"


def probe_fhir(destination: str) -> str:
    """As `probe`, for a destination of `Settings.fhir_to`.

    Raises:
        Unreachable: It is not there, is no FHIR server of R4, or the folder cannot be written.
    """
    if is_url(destination):
        return fhir_server.probe(HttpClient(destination))
    return fhir_folder.probe(Path(destination))
