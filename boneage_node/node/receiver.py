"""The receiver process: associations in, files and rows out. Decodes no pixel."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boneage_node.dimse.store_scp import serve
from boneage_node.dimse.wire.bounds import Limits
from boneage_node.exchange.commitment import CommitmentReceiver
from boneage_node.logs import get_logger
from boneage_node.net.tls import RENEW_DAYS, days_left, listening_context
from boneage_node.settings import Settings
from boneage_node.store import Intake
from boneage_node.traffic.received import Accepted, Received

from .child import Child
from .opening import open_store
from .preparation import is_listening

_LISTENING_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Instances:
    """Receiver of instances that files them in the store.

    Attributes:
        intake: The store's intake.
        quiet_seconds: A study settles when nothing of it has come for so long.
    """

    intake: Intake
    quiet_seconds: float

    def accept(self, incoming: Path, received: Received) -> Accepted:
        """Keep a received file. When this returns, the instance survives a power cut."""
        return self.intake.accept(incoming, received, self.quiet_seconds)

    def association_released(self, study_ids: Iterable[int]) -> None:
        """Note that the sender is done with these studies."""
        self.intake.association_released(study_ids)


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
        receiver = serve(
            listening,
            listener,
            Instances(store.intake, settings.reading.quiet_seconds),
            store.spool.incoming_dir,
            CommitmentReceiver(settings.commitment, settings.delivery, store),
            limits=Limits(reserve_bytes=storage.reserve_bytes),
            tls=listening_context(settings.tls),
        )
        days = days_left(settings.tls)
        if days is not None and days < RENEW_DAYS:
            get_logger().warning("the certificate expires soon", days=days)
        child.ready()
        while not child.stop.wait(1.0):
            if not receiver.is_alive():
                raise RuntimeError("the receiver stopped listening")
            child.alive()
        receiver.shutdown()
