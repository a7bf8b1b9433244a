"""Decoding of one JPEG frame with GDCM in a process of its own, as damaged streams make GDCM abort."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from boneage_node.errors import BoneAgeError

TIMEOUT_SECONDS = 60.0
_SCRIPT = Path(__file__).with_name("gdcm_script.py")


# libjpeg goes on after damage with a warning. Bytes too many before a marker are padding of sloppy encoders.
_IS_DAMAGED = re.compile(rb"Corrupt JPEG data: (?!\d+ extraneous)|Premature end of JPEG")


class DecoderDiedError(BoneAgeError):
    """GDCM refused the frame, aborted, or did not come back."""


@dataclass(frozen=True)
class FrameDescription:
    """Description of a frame for GDCM: the image pixel attributes by their DICOM meaning."""

    transfer_syntax_uid: str
    photometric: str
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    planar: int


def decode(frame: bytes, description: FrameDescription) -> bytes:
    """Decode a frame in a new process.

    Args:
        frame: One compressed frame whose size by its own header has been checked.
        description: Its image pixel attributes.

    Raises:
        DecoderDiedError: It could not be decoded.
        OSError: No process could be started, or it was killed from outside.
    """
    # By path, not as a module: the package would be imported for nothing.
    command = [sys.executable, "-I", str(_SCRIPT), json.dumps(asdict(description))]
    try:
        done = subprocess.run(command, input=frame, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        if isinstance(error, subprocess.CalledProcessError) and error.returncode == -signal.SIGKILL:
            # Damage ends GDCM by other signals; this one is the kernel's, for want of memory, or a person's.
            raise OSError(errno.ENOMEM, "the decoder was killed") from None
        raise DecoderDiedError(type(error).__name__) from None
    if _IS_DAMAGED.search(done.stderr):
        raise DecoderDiedError("damaged")
    return done.stdout
