"""The receiver: C-ECHO and C-STORE SCP, and storage commitment by the handlers of :mod:`.commitment`.

Success is answered only after the sink has the instance on disk and in the database. The bytes are kept as
they came; only the preamble in front of them, in which a file can pretend to be an executable, is the node's
own zeros.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from ssl import SSLContext
from typing import Protocol, cast

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from boneage_node.about import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from boneage_node.logs import class_name, get_logger
from boneage_node.net.listening import Listening
from boneage_node.traffic.received import Accepted, NotAcceptable, Received

from .commitment import CommitmentHandler, commitment_context, handle_action, handle_report
from .contexts import accepted_contexts
from .identifiers import read_identifiers
from .status import RequestError, Status
from .wire.associations import OpenAssociations
from .wire.bounds import MAX_PDU_BYTES, IncomingFile, Limits
from .wire.server import Server
from .wire.toolkit import configure_pynetdicom, receiving_process

_log = get_logger()


class InstanceSink(Protocol):
    """Receiver of instances."""

    def accept(self, incoming: Path, received: Received) -> Accepted:
        """Keep a received file. When this returns, the instance survives a power cut."""

    def association_released(self, study_ids: Iterable[int]) -> None:
        """The sender is done with these studies."""


class Receiver:
    """A running receiver; :func:`serve` makes one.

    Attributes:
        port: The TCP port it listens on.
    """

    def __init__(self, server: Server, open_associations: OpenAssociations, process: ExitStack) -> None:
        self.port: int = server.server_address[1]
        self._server = server
        self._open_associations = open_associations
        self._process = process
        self._thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        self._thread.start()

    @property
    def open_association_count(self) -> int:
        """Number of associations that are running."""
        return len(self._open_associations)

    def stations_speaking(self, seconds: float) -> set[str]:
        """The AE titles of those that have an association, and have said something on it of late.

        Args:
            seconds: What is late; what the node itself is still at counts as said now.
        """
        since = time.monotonic() - seconds
        return {
            one.calling_ae_title
            for one in list(self._open_associations.values())
            if not one.association.is_released
            and not one.is_dead
            and (one.socket.last_moved > since or one.messages.working_since is not None)
        }

    def is_alive(self) -> bool:
        """Whether it still accepts connections."""
        return self._thread.is_alive()

    def shutdown(self, grace_seconds: float = 5.0) -> None:
        """Stop listening, let running associations end for a short while, then abort what is left."""
        self._server.shutdown()
        deadline = time.monotonic() + grace_seconds
        while self._open_associations and time.monotonic() < deadline:
            self._server.reap()
            time.sleep(0.02)
        self._open_associations.end_all("the node shuts down", self._server.listening.idle_seconds)
        self._process.close()


def serve(
    listening: Listening,
    listener: socket.socket,
    sink: InstanceSink,
    incoming_dir: Path,
    commitment: CommitmentHandler | None = None,
    *,
    limits: Limits,
    tls: SSLContext | None = None,
) -> Receiver:
    """Start the receiver; it runs in threads of its own.

    It configures pynetdicom, pydicom and the folder of temporary files for the whole process (see
    :mod:`.toolkit`), so give it a process of its own.

    Args:
        listening: The node's AE title, and the rules of admission.
        listener: The socket to listen on, bound already; the receiver closes it.
        sink: Receiver of instances.
        incoming_dir: Folder for files on their way in, on the sink's file system.
        commitment: Receiver of requests and results of storage commitment; without it, none are taken.
        limits: The bounds of the receiver.
        tls: Context of TLS, which then alone is spoken; None for no TLS.
    """
    configure_pynetdicom()
    ae = AE(ae_title=listening.ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = MAX_PDU_BYTES
    ae.network_timeout = None  # the server watches, by a clock that nobody sets
    ae.acse_timeout = limits.request_timeout_seconds
    ae.dimse_timeout = listening.idle_seconds
    # The server counts associations, and before any thread is spent on them.
    ae.maximum_associations = 2**16
    open_associations = OpenAssociations()
    contexts = accepted_contexts()
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_ACCEPTED, handle_accepted, [open_associations]),
        (evt.EVT_C_STORE, handle_store, [sink, open_associations]),
        (evt.EVT_RELEASED, handle_released, [sink, open_associations]),
    ]
    if commitment is not None:
        contexts.append(commitment_context())
        handlers.append((evt.EVT_N_ACTION, handle_action, [commitment, open_associations]))
        handlers.append((evt.EVT_N_EVENT_REPORT, handle_report, [commitment, open_associations]))
    server = Server(ae, listener, listening, limits, tls, contexts, handlers, open_associations)
    process = ExitStack()
    process.enter_context(receiving_process(incoming_dir))
    receiver = Receiver(server, open_associations, process)
    _log.info(
        "listening",
        ae_title=listening.ae_title,
        host=listening.host,
        port=receiver.port,
        tls=tls is not None,
    )
    return receiver


def handle_accepted(event: Event, open_associations: OpenAssociations) -> None:
    """Log the peer of a new association."""
    _log.info(
        "association accepted",
        association=open_associations[event.assoc].number,
        calling_ae_title=event.assoc.requestor.ae_title,
        address=event.assoc.requestor.address,
    )


def handle_store(event: Event, sink: InstanceSink, open_associations: OpenAssociations) -> Status | object:
    """Respond to a C-STORE request: with success once the sink has the instance for good."""
    association = open_associations[event.assoc]
    try:
        accepted = _store(event, sink)
    except RequestError as refusal:
        _log.warning(
            "instance refused",
            association=association.number,
            status=f"0x{refusal.status:04X}",
            comment=refusal.comment,
            error=class_name(refusal.__cause__) if refusal.__cause__ else None,
        )
        return refusal.to_dataset()
    association.study_ids.add(accepted.study_id)
    _log.info(
        "instance received",
        association=association.number,
        study=accepted.study_id,
        instance=accepted.instance_id,
        new=accepted.new,
    )
    return Status.SUCCESS


def handle_released(event: Event, sink: InstanceSink, open_associations: OpenAssociations) -> None:
    """Tell the sink that the sender is done."""
    association = open_associations[event.assoc]
    _log.info("association released", association=association.number, studies=len(association.study_ids))
    if association.study_ids:
        try:
            sink.association_released(association.study_ids)
        except Exception as error:  # any database error: the quiet time settles the studies all the same
            _log.warning("release not noted", association=association.number, error=class_name(error))


def _store(event: Event, sink: InstanceSink) -> Accepted:
    request = cast(C_STORE, event.request)
    path = IncomingFile.of(request).finish()
    keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    identifiers = read_identifiers(path, keywords)
    uids = identifiers.uids
    if uids["SOPClassUID"] != request.AffectedSOPClassUID:
        raise RequestError(Status.DATA_SET_DOES_NOT_MATCH, "SOPClassUID differs from that of the request")
    if uids["SOPInstanceUID"] != request.AffectedSOPInstanceUID:
        raise RequestError(Status.CANNOT_UNDERSTAND, "SOPInstanceUID differs from that of the request")
    received = Received(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=str(event.context.transfer_syntax),
        calling_ae_title=event.assoc.requestor.ae_title.strip(),
        accession_number=identifiers.accession_number,
    )
    try:
        return sink.accept(path, received)
    except NotAcceptable as error:
        raise RequestError(Status.CANNOT_UNDERSTAND, "The instance cannot be filed") from error
    except Exception as error:  # disk or database, whichever: the sender keeps the image and tries again
        raise RequestError(Status.OUT_OF_RESOURCES, "The node cannot store at the moment") from error
