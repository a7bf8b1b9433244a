"""The receiver process: associations in, files and rows out. Decodes no pixel."""

from __future__ import annotations

import socket
from functools import partial

from boneage_node.dimse.store_scp import serve
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.exchange.commitment import CommitmentReceiver
from boneage_node.logs import get_logger
from boneage_node.net.tls import RENEW_DAYS, days_left, listening_context
from boneage_node.settings import Settings
from boneage_node.store import DatabaseAvailability

from .arrivals import Arrivals
from .child import Child
from .opening import open_store
from .preparation import is_listening

_LISTENING_LOOK_SECONDS = 0.05
_LOOK_SECONDS = 0.25
"""Time between two looks at who is still sending."""


def run(settings: Settings, child: Child, *, listener: socket.socket) -> None:
    """Receive until told to stop.

    Args:
        settings: The node's settings.
        child: This process.
        listener: The socket to take callers from, which the supervisor holds too, and begins to listen on.

    Raises:
        NodeError: TLS files will not do.
    """
    listening, storage = settings.listening, settings.storage
    with open_store(storage) as store:
        while not is_listening(listener):
            if child.stop.wait(_LISTENING_LOOK_SECONDS):
                return
        arrivals, availability = Arrivals(store.intake, settings.reading), DatabaseAvailability()
        receiver = serve(
            listening,
            listener,
            arrivals,
            store.spool.incoming_dir,
            CommitmentReceiver(settings.commitment, settings.delivery, store),
            limits=Limits(reserve_bytes=storage.reserve_bytes),
            tls=listening_context(settings.tls),
        )
        days = days_left(settings.tls)
        if days is not None and days < RENEW_DAYS:
            get_logger().warning("the certificate expires soon", days=days)
        child.ready()
        while not child.stop.wait(_LOOK_SECONDS):
            if not receiver.is_alive():
                raise RuntimeError("the receiver stopped listening")
            speaking = receiver.stations_speaking(settings.reading.quiet_seconds)
            availability.guard(partial(arrivals.look, speaking))()
            child.alive()
        receiver.shutdown()
