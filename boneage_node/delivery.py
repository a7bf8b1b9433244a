"""Sending to a destination, by the protocol that the form of its name stands for.

For DICOM ``AE@host:port`` is C-STORE (with ``/tls`` behind it, over TLS), and an ``http(s)`` URL is STOW-RS.
For FHIR a URL is a server, and an absolute path is a folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .dicomweb import query, stow
from .dimse import sender
from .dimse.destination import Destination
from .fhir import folder, server
from .sending import Sent
from .setting_types import is_url
from .settings import Settings
from .store import DeliveryTask, DocumentForm


def deliver(destination: str, tasks: Sequence[DeliveryTask], settings: Settings) -> Iterator[Sent]:
    """Send the files of deliveries to their common destination, in their order.

    Args:
        destination: As `Settings.send_to` or `Settings.fhir_to` holds it.
        tasks: Deliveries to that destination.
        settings: The node's settings.

    Yields:
        For each file, as soon as it is known, what became of it.
    """
    bundles = [task.path for task in tasks if task.form is DocumentForm.FHIR]
    if bundles:
        yield from _deliver_fhir(destination, bundles)
    files = [task.path for task in tasks if task.form is not DocumentForm.FHIR]
    if files:
        yield from _deliver_dicom(destination, files, settings)


def is_by_c_store(task: DeliveryTask) -> bool:
    """Whether a delivery is sent by C-STORE, to a station that can be asked for storage commitment."""
    return task.form is not DocumentForm.FHIR and not is_url(task.destination)


def _deliver_dicom(destination: str, files: Sequence[Path], settings: Settings) -> Iterator[Sent]:
    if is_url(destination):
        return stow.send(destination, files)
    return sender.send(Destination.parse(destination), files, settings.ae_title, tls=settings.tls)


def _deliver_fhir(destination: str, bundles: Sequence[Path]) -> Iterator[Sent]:
    if is_url(destination):
        return server.send(destination, bundles)
    return folder.send(Path(destination), bundles)


def probe(destination: str, settings: Settings) -> str:
    """Ask a destination whether it is there, at little cost.

    Returns:
        What it answered and when, to be read after its name: ``answers C-ECHO, after 12 ms``.

    Raises:
        Unreachable: It is not, or does not speak the protocol.
    """
    if is_url(destination):
        return f"answers QIDO-RS, after {1000 * query.probe(destination):.0f} ms"
    seconds = sender.echo(Destination.parse(destination), settings.ae_title, tls=settings.tls)
    return f"answers C-ECHO, after {1000 * seconds:.0f} ms"


def probe_fhir(destination: str) -> str:
    """As `probe`, for a destination of `Settings.fhir_to`.

    Raises:
        Unreachable: It is not there, is no FHIR server of R4, or the folder cannot be written.
    """
    return server.probe(destination) if is_url(destination) else folder.probe(Path(destination))
