"""What has arrived of a study that is fetched, as the node's own store has it."""

from __future__ import annotations

import time
from collections.abc import Collection

from boneage_node.store import Store

_LOOK_SECONDS = 0.2


class Arrivals:
    """The images that a node has of a study.

    Args:
        store: The node's store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def images(self, study_instance_uid: str, series_instance_uids: Collection[str] = ()) -> int:
        """How many images of a study the node has.

        Args:
            study_instance_uid: The study.
            series_instance_uids: Only those of these series; empty for all.

        Raises:
            DatabaseError: The database does not answer.
        """
        return self._store.studies.count_images(study_instance_uid, series_instance_uids)

    def wait(
        self,
        count: int,
        study_instance_uid: str,
        series_instance_uids: Collection[str] = (),
        *,
        patience_seconds: float,
    ) -> int:
        """Wait until there are so many, or no more come for a while; gives how many there are.

        Args:
            count: How many to wait for.
            study_instance_uid: As of `images`.
            series_instance_uids: As of `images`.
            patience_seconds: How long to wait for the next one.

        Raises:
            DatabaseError: The database does not answer.
        """
        there, deadline = -1, 0.0
        while True:
            now_there = self.images(study_instance_uid, series_instance_uids)
            if now_there > there:
                there, deadline = now_there, time.monotonic() + patience_seconds
            if there >= count or time.monotonic() > deadline:
                return there
            time.sleep(_LOOK_SECONDS)
