"""For tests of the DICOM network: what a broken implementation might send, by the thousand, from a seed."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from pydicom.uid import ImplicitVRLittleEndian

from .dimse import (
    ABORT,
    COMMAND,
    CR,
    DATA,
    LAST_COMMAND,
    LAST_DATA,
    RELEASE_REQUEST,
    RESET,
    VERIFICATION,
    RawPeer,
    command,
    encode,
    make_radiograph,
    p_data,
    store_request,
)
from .negotiation import APPLICATION_CONTEXT, associate, item, proposal, user_information

Tree = tuple[int, bytes, list["Tree"]]
"""An item: its type, what is in front of its sub-items, and these."""

_SYNTAX = ImplicitVRLittleEndian.encode()


class Mutants:
    """Peers that go wrong in ways drawn from a seed.

    Args:
        port: The port of the node.
        seed: The same draws the same again.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._image = make_radiograph()
        self.kept: list[RawPeer] = []
        """Those that keep their connections."""

    def meet(self) -> None:
        """Connect, ask for an association, say something, and end it or not."""
        peer = RawPeer(self._port)
        peer.socket.settimeout(0.02)
        with suppress(OSError):
            peer.send(self.request())
            with suppress(TimeoutError):
                peer.read_pdu()
            for _ in range(self._random.randrange(4)):
                peer.send(self.pdu())
        self._leave(peer)

    def request(self) -> bytes:
        """A-ASSOCIATE-RQ, valid or not."""
        draw = self._random
        items: list[Tree] = [
            (0x10, APPLICATION_CONTEXT, []),
            (0x20, b"\1\0\0\0", [(0x30, CR.encode(), []), (0x40, _SYNTAX, [])]),
            (0x20, b"\3\0\0\0", [(0x30, VERIFICATION.encode(), []), (0x40, _SYNTAX, []), (0x40, b"1.2", [])]),
            (
                0x50,
                b"",
                [
                    (0x51, b"\0\0\x40\0", []),
                    (0x52, b"1.2.3", []),
                    (0x53, b"\0\1\0\1", []),
                    (0x54, struct.pack(">H", len(CR)) + CR.encode() + b"\1\1", []),
                    (0x55, b"VERSION", []),
                    (0x56, b"\0\x051.2.3\1", []),
                    (0x57, b"\0\x051.2.3\0\x051.2.4\0\0", []),
                    (0x58, b"\1\1\0\1u\0\0", []),
                ],
            ),
        ]
        for _ in range(draw.choice((0, 1, 1, 2, 5))):
            self._mutate(items)
        version = draw.choice((1, 1, 1, 3, 0xFFFF, 2, 0))
        calling = draw.choice((b"PEER", b"PEER\0", b"", b"\xff" * 16, bytes(draw.randbytes(16))))
        request = associate(*map(self._encode, items), version=version, calling=calling)
        return self._damage(request) if draw.random() < 0.3 else request

    def pdu(self) -> bytes:
        """Something to say once there is an association."""
        draw = self._random
        request, data = store_request(self._image), encode(self._image)
        context = draw.choice((1, 1, 1, 3, 2, 255))
        kinds: list[Callable[[], bytes]] = [
            lambda: p_data((context, LAST_COMMAND, request), (context, LAST_DATA, data)),
            lambda: p_data((context, LAST_COMMAND, self._damage(request)), (context, LAST_DATA, data)),
            lambda: p_data((context, LAST_COMMAND, request), (context, DATA, self._damage(data))),
            lambda: p_data((context, COMMAND, request[: draw.randrange(len(request))])),
            lambda: p_data(
                (3, LAST_COMMAND, command(0x0030, has_data_set=False, sop_class_uid=VERIFICATION))
            ),
            lambda: p_data((context, LAST_COMMAND, command(draw.randrange(2**16)))),
            lambda: p_data((draw.randrange(256), draw.randrange(256), draw.randbytes(draw.randrange(99)))),
            lambda: self._damage(p_data((context, LAST_COMMAND, request), (context, LAST_DATA, data))),
            lambda: (
                struct.pack(">BBL", draw.randrange(256), draw.randrange(256), draw.randrange(30))
                + draw.randbytes(draw.randrange(40))
            ),
            lambda: bytes((draw.randrange(8), 0, 0, 0, 0, 4)) + draw.randbytes(4),
            lambda: associate(APPLICATION_ITEM, proposal(), user_information()),
            lambda: RELEASE_REQUEST,
            lambda: RELEASE_REQUEST + self._damage(p_data((context, LAST_DATA, data))),
            lambda: ABORT,
        ]
        return draw.choice(kinds)()

    def _leave(self, peer: RawPeer) -> None:
        how = self._random.randrange(4)
        if how == 0:
            self.kept.append(peer)
            return
        with suppress(OSError):
            if how == 1:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif how == 2:
                peer.send(self._random.choice((ABORT, RELEASE_REQUEST)))
        peer.socket.close()

    def _mutate(self, items: list[Tree]) -> None:
        """Change one thing among items or below them."""
        draw = self._random
        if not items:
            return
        number = draw.randrange(len(items))
        kind, value, below = items[number]
        if below and draw.random() < 0.7:
            self._mutate(below)
            return
        match draw.randrange(8):
            case 0:
                del items[number]
            case 1:
                items.append(items[number])
            case 2:
                draw.shuffle(items)
            case 3:
                items[number] = (draw.randrange(256), value, below)
            case 4:
                items[number] = (kind, b"", [])
            case 5:
                items[number] = (kind, value[: draw.randrange(len(value) + 1)], below)
            case 6:
                items[number] = (kind, value + draw.randbytes(draw.choice((1, 2, 70))), below)
            case _:
                items[number] = (kind, draw.randbytes(len(value)), below)

    def _encode(self, tree: Tree) -> bytes:
        kind, value, below = tree
        encoded = item(kind, value + b"".join(map(self._encode, below)))
        if self._random.random() < 0.02:
            encoded = encoded[:2] + self._random.randbytes(2) + encoded[4:]
        return encoded

    def _damage(self, data: bytes) -> bytes:
        """Other bytes here and there, or an end too early."""
        damaged = bytearray(data)
        for _ in range(self._random.randrange(1, 6)):
            damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(
            damaged[: self._random.randrange(1, len(damaged) + 1)] if self._random.random() < 0.3 else damaged
        )


APPLICATION_ITEM = item(0x10, APPLICATION_CONTEXT)
