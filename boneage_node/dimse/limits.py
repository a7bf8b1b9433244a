"""Bounds of what a receiver takes in; none of them is a setting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of what a receiver takes in.

    Attributes:
        request_timeout_seconds: A connection that has sent no complete association request by then is closed.
        max_instance_bytes: Data sets larger than this are refused.
        reserve_bytes: Space on the incoming folder's file system below which nothing is taken in.
    """

    request_timeout_seconds: float = 15.0
    max_instance_bytes: int = 512 * 2**20
    reserve_bytes: int = 512 * 2**20
