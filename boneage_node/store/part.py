"""A part of the store: what all of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from boneage_node.spool import Spool

from .database import Transactions


class Part:
    """A part of the store.

    Args:
        transactions: The database.
        spool: The files.
        clock: The time now, in UTC; the machines of a node must agree on it to well under a lease.
    """

    def __init__(self, transactions: Transactions, spool: Spool, clock: Callable[[], datetime]) -> None:
        self._transactions = transactions
        self._spool = spool
        self._clock = clock
