"""Decode one JPEG frame with GDCM in a process of its own: on damaged streams GDCM aborts its process.

Run as a script, it reads the frame from standard input and writes the samples, little endian and colour by
pixel, to standard output.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass

TIMEOUT_SECONDS = 60.0


# libjpeg goes on after damage with a warning. Bytes too many before a marker are padding of sloppy encoders.
_IS_DAMAGED = re.compile(rb"Corrupt JPEG data: (?!\d+ extraneous)|Premature end of JPEG")


class DecoderDiedError(Exception):
    """GDCM refused the frame, aborted, or did not come back."""


@dataclass(frozen=True)
class FrameDescription:
    """What GDCM must be told of a frame: the image pixel attributes by their DICOM meaning."""

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
    """
    # By path, not as a module: the package would be imported for nothing.
    command = [sys.executable, "-I", __file__, json.dumps(asdict(description))]
    try:
        done = subprocess.run(command, input=frame, capture_output=True, timeout=TIMEOUT_SECONDS, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise DecoderDiedError(type(error).__name__) from None
    if _IS_DAMAGED.search(done.stderr):
        raise DecoderDiedError("damaged")
    return done.stdout


def _decode_here(frame: bytes, description: FrameDescription) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((description.columns, description.rows, 1))
    image.SetDataElement(element)
    photometric = gdcm.PhotometricInterpretation.GetPIType(description.photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(photometric))
    if description.samples > 1:
        image.SetPlanarConfiguration(description.planar)
    syntax = gdcm.TransferSyntax.GetTSType(description.transfer_syntax_uid)
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    image.SetPixelFormat(
        gdcm.PixelFormat(
            description.samples,
            description.bits_allocated,
            description.bits_stored,
            description.bits_stored - 1,
            int(description.signed),
        )
    )
    # The binding hands bytes over as a str with escapes.
    decoded: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return decoded


if __name__ == "__main__":
    described = FrameDescription(**json.loads(sys.argv[1]))
    sys.stdout.buffer.write(_decode_here(sys.stdin.buffer.read(), described))
