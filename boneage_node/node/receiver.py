"""The receiver process: associations in, files and rows out. Decodes no pixel."""

from __future__ import annotations

from boneage_node.dimse.store_scp import serve
from boneage_node.dimse.wire.server import Limits
from boneage_node.errors import ExitCode, NodeError
from boneage_node.exchange.commitment import CommitmentReceiver
from boneage_node.logs import get_logger
from boneage_node.net.tls import RENEW_DAYS, days_left, listening_context
from boneage_node.settings import Settings

from .child import Child
from .opening import open_store


def run(settings: Settings, child: Child) -> None:
    """Receive until told to stop.

    Raises:
        NodeError: Where it may not or cannot listen, or TLS files will not do.
    """
    listening, storage = settings.listening, settings.storage
    with open_store(storage) as store:
        store.spool.sweep_incoming()
        try:
            receiver = serve(
                listening,
                store.intake,
                store.spool.incoming_dir,
                CommitmentReceiver(settings.commitment, settings.delivery, store),
                quiet_seconds=settings.reading.quiet_seconds,
                limits=Limits(reserve_bytes=storage.reserve_bytes),
                tls=listening_context(settings.tls),
            )
        except OSError as error:
            raise NodeError(
                ExitCode.PORT,
                f"{listening.host}:{listening.port} cannot be listened on: {error.strerror}. "
                "Stop what uses the port, or choose another with --port.",
            ) from error
        days = days_left(settings.tls)
        if days is not None and days < RENEW_DAYS:
            get_logger().warning("the certificate expires soon", days=days)
        child.ready(port=receiver.port)
        while not child.stop.wait(1.0):
            if not receiver.is_alive():
                raise RuntimeError("the receiver stopped listening")
        receiver.shutdown()
