"""Sending to a destination, by the protocol that the form of its name stands for.

``AE@host:port`` is C-STORE (with ``/tls`` behind it, over TLS), an ``http(s)`` URL is STOW-RS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .dicomweb import query, stow
from .dimse import sender
from .dimse.destination import Destination
from .sending import Sent
from .settings import Settings, is_url
from .store import DeliveryTask


def deliver(destination: str, tasks: Sequence[DeliveryTask], settings: Settings) -> Iterator[Sent]:
    """Send the files of deliveries to their common destination, in their order.

    Args:
        destination: As `Settings.send_to` holds it.
        tasks: Deliveries to that destination.
        settings: The node's settings.

    Yields:
        For each file, as soon as it is known, what became of it.
    """
    files = [task.path for task in tasks]
    if is_url(destination):
        return stow.send(destination, files)
    return sender.send(Destination.parse(destination), files, settings.ae_title, tls=settings.tls)


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
