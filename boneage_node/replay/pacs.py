"""A PACS as small as can be: takes whatever is sent and keeps it. For replaying studies, not for patients."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Self

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event

from boneage_node.dimse.contexts import VERIFICATION
from boneage_node.dimse.status import Status
from boneage_node.dimse.wire.toolkit import configure_pynetdicom
from boneage_node.net.addresses import Station


class SmallPacs:
    """A storage SCP on loopback with a free port; files are named in the order in which they come.

    Args:
        folder: Where files are kept.
        ae_title: Its AE title.
    """

    def __init__(self, folder: Path, ae_title: str = "SMALLPACS") -> None:
        self._folder = folder
        configure_pynetdicom()
        self._ae = AE(ae_title)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(VERIFICATION)
        self._port = 0

    def __enter__(self) -> Self:
        server = self._ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, _keep, [self._folder])]
        )
        assert server is not None, "it does not block"
        self._port = int(server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._ae.shutdown()

    @property
    def destination(self) -> Station:
        """The station to send to."""
        return Station(str(self._ae.ae_title), "127.0.0.1", self._port)


def _keep(event: Event, folder: Path) -> int:
    """Write what was sent, under the name of its order of arrival."""
    number = len(list(folder.iterdir())) + 1
    shutil.copyfile(event.dataset_path, folder / f"{number:04d}.dcm")
    return Status.SUCCESS
