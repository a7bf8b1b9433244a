"""Whose fault it is that a reading failed: the study's, or the node's.

A study that crashes its reader, or makes it raise what nobody foresaw, is tried a few times and then set
aside. A full disk, a lost mount, a database that is away or a GPU without memory is no study's fault: the
study waits for as long as it lasts, which costs it no attempt. This is the one place that tells which it is.
"""

from __future__ import annotations

import os
import re

import torch

from boneage_node.retry import RetryPolicy
from boneage_node.store import is_database_away

WAITS = RetryPolicy(max_attempts=1, base_seconds=2.0, cap_seconds=300.0)
"""How long a study waits for the node's own trouble to be over, each time. Attempts do not count."""

_DEVICE = re.compile(r"\b(CUDA|cuDNN|CUBLAS)\w* error", re.IGNORECASE)
_NO_MEMORY = re.compile(r"DefaultCPUAllocator|can't allocate memory|not enough memory")


def node_trouble(error: BaseException) -> str | None:
    """What is wrong with the node, in words without patient data; None where the study itself failed.

    Parsers and decoders raise OSError of their own for malformed content, without the kernel's number.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return f"files cannot be read or written: {os.strerror(error.errno)}"
    if is_database_away(error):
        return "the database does not do what it is asked"
    if isinstance(error, torch.OutOfMemoryError):
        return "the GPU has no memory left"
    if is_device_lost(error):
        return "the GPU failed"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error))):
        return "no memory is left"
    return None


def is_device_lost(error: BaseException) -> bool:
    """Whether this process can compute no more on the GPU: after such an error all others fail, too."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    of_device = getattr(torch, "AcceleratorError", ())  # since torch 2.8
    return isinstance(error, of_device) or (
        isinstance(error, RuntimeError) and bool(_DEVICE.search(str(error)))
    )
