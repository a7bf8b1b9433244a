"""A PACS that answers C-FIND and C-MOVE with what a test tells it to, however odd: real ones do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from unittest.mock import patch

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom import association as pynetdicom_association
from pynetdicom.dimse_primitives import C_FIND, C_MOVE
from pynetdicom.dsutils import decode
from pynetdicom.service_class import ServiceClass
from pynetdicom.transport import ThreadedAssociationServer

from boneage_node.dimse.query_scu import FIND, MOVE
from boneage_node.net.addresses import Station

from .dimse import encode

PENDING = (0xFF00, 0xFF01)
FindAnswer = tuple[int, Dataset | bytes | None]


@dataclass(frozen=True)
class MoveAnswer:
    """An answer to a C-MOVE.

    Attributes:
        status: Its status.
        numbers: Of sub-operations, by what they are of (``Completed=2``); what is not here is not told.
        failed: SOP Instance UIDs that it says have failed.
        before: What the PACS does before it answers so.
    """

    status: int
    numbers: dict[str, int] = field(default_factory=dict)
    failed: Sequence[str] = ()
    before: Callable[[], None] = lambda: None


@dataclass
class ScriptedPacs:
    """The PACS as the test sees it.

    Attributes:
        station: Where it is.
        asked: Identifiers of the requests.
        destinations: Of the C-MOVE requests.
    """

    station: Station
    asked: list[Dataset] = field(default_factory=list)
    destinations: list[str] = field(default_factory=list)


@contextmanager
def scripted_pacs(
    find: Callable[[Dataset], Sequence[FindAnswer]] | Sequence[FindAnswer] = (),
    move: Callable[[Dataset], Sequence[MoveAnswer]] | Sequence[MoveAnswer] = (),
    sop_classes: Sequence[str] = (FIND, MOVE),
) -> Iterator[ScriptedPacs]:
    """A PACS on loopback.

    Args:
        find: Its answers to each C-FIND, or what makes them of the identifier.
        move: Its answers to each C-MOVE, likewise. Where they do not end with the
            last word, it breaks off.
        sop_classes: What it takes.
    """

    class Scripted(ServiceClass):
        def SCP(self, request: Any, context: Any) -> None:  # noqa: N802 - as pynetdicom has it
            asked = decode(request.Identifier, True, True)
            pacs.asked.append(asked)
            status = 0x0000
            if isinstance(request, C_FIND):
                for status, match in find(asked) if callable(find) else find:
                    self._answer(C_FIND(), request, context, status, match)
            else:
                pacs.destinations.append(str(request.MoveDestination).strip())
                for answer in move(asked) if callable(move) else move:
                    status = answer.status
                    self._answer_move(answer, request, context)
            if status in PENDING:
                self.assoc.abort()

        def _answer_move(self, answer: MoveAnswer, request: Any, context: Any) -> None:
            answer.before()
            response = C_MOVE()
            for what, number in answer.numbers.items():
                setattr(response, f"NumberOf{what}Suboperations", number)
            failed = Dataset()
            failed.FailedSOPInstanceUIDList = list(answer.failed)
            self._answer(response, request, context, answer.status, failed if answer.failed else None)

        def _answer(
            self, response: Any, request: Any, context: Any, status: int, sent: Dataset | bytes | None
        ) -> None:
            response.MessageIDBeingRespondedTo = request.MessageID
            response.AffectedSOPClassUID = request.AffectedSOPClassUID
            response.Status = status
            if sent is not None:
                response.Identifier = BytesIO(sent if isinstance(sent, bytes) else encode(sent))
            self.dimse.send_msg(response, context.context_id)

    ae = AE(ae_title="PACS")
    for sop_class in sop_classes:
        ae.add_supported_context(sop_class, ImplicitVRLittleEndian)
    known = pynetdicom_association.uid_to_service_class

    def service_class(uid: str) -> type[ServiceClass]:
        return Scripted if uid in (FIND, MOVE) else known(uid)

    with patch.object(pynetdicom_association, "uid_to_service_class", service_class):
        server = ae.make_server(("127.0.0.1", 0), server_class=ThreadedAssociationServer)
        ae._servers.append(server)  # as start_server does, whose servers take half a second to shut down
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        pacs = ScriptedPacs(Station("PACS", "127.0.0.1", server.server_address[1]))
        try:
            yield pacs
        finally:
            server.shutdown()
            thread.join()
