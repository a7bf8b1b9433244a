"""A child process that hangs once it is at work."""

from __future__ import annotations

import threading

from boneage_node.node.child import Child
from boneage_node.settings import Settings


def run(settings: Settings, child: Child) -> None:
    """Begin, and then wait for what never comes."""
    child.ready()
    threading.Event().wait()
