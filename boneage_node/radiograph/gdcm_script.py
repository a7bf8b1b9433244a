"""Script that decodes one JPEG frame with GDCM, run by ``gdcm_process`` outside the package.

It reads the frame from standard input and writes the samples, little endian and colour by pixel, to standard
output. Its one argument is the frame's description as JSON.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace


def decode(frame: bytes, description: SimpleNamespace) -> bytes:
    """Decode a frame here; GDCM may end the process."""
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
    described = SimpleNamespace(**json.loads(sys.argv[1]))
    sys.stdout.buffer.write(decode(sys.stdin.buffer.read(), described))
