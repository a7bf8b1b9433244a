"""The receiver process: associations in, files and rows out. Decodes no pixel."""

from __future__ import annotations

from boneage_node.dimse.store_scp import serve
from boneage_node.errors import ExitCode, NodeError
from boneage_node.exchange.commitment import CommitmentReceiver
from boneage_node.logs import get_logger
from boneage_node.net.listening import ReceiverSettings, UnsafeSettingsError
from boneage_node.net.tls import RENEW_DAYS, days_left, listening_context
from boneage_node.settings import Settings

from .child import Child
from .opening import open_store


def run(settings: Settings, child: Child) -> None:
    """Receive until told to stop.

    Raises:
        NodeError: Where it may not or cannot listen, or TLS files will not do.
    """
    with open_store(settings) as store:
        store.spool.sweep_incoming()
        listening = ReceiverSettings(
            ae_title=settings.ae_title,
            host=settings.host,
            port=settings.port,
            quiet_seconds=settings.quiet_seconds,
            allowed_ae_titles=settings.allowed_ae_titles,
            allowed_addresses=settings.allowed_addresses,
            open_to_all=settings.open_to_all,
            max_associations=settings.max_associations,
            idle_timeout_seconds=settings.association_idle_seconds,
            reserve_bytes=settings.spool_reserve_bytes,
            tls=listening_context(settings.tls),
        )
        try:
            receiver = serve(
                listening, store.intake, store.spool.incoming_dir, CommitmentReceiver(settings, store)
            )
        except UnsafeSettingsError as error:
            raise NodeError(ExitCode.UNSAFE, str(error)) from error
        except OSError as error:
            raise NodeError(
                ExitCode.PORT,
                f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}. "
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
