"""Reading a text by the protocol that knows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, Self, TypeVar


class _Protocol(Protocol):
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self | None: ...


Peer = TypeVar("Peer", bound=_Protocol)


def parse_as_one_of(protocols: Sequence[type[Peer]], text: str) -> Peer:
    """Read a text by the protocol that knows it.

    Raises:
        ValueError: None does, or the one that does says what is wrong.
    """
    text = text.strip()
    for protocol in protocols:
        peer = protocol.parse(text)
        if peer is not None:
            return peer
    raise ValueError(f"'{text}' is not {', nor '.join(protocol.example for protocol in protocols)}")
