"""SOP classes and transfer syntaxes that the node accepts and proposes."""

from __future__ import annotations

from typing import NamedTuple

from pydicom import uid
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    Verification,
)

RADIOGRAPHS: tuple[uid.UID, ...] = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    # Film digitisers and PACS that convert old archives write radiographs as grayscale multi-frame captures.
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)
"""SOP classes in which a radiograph of a hand arrives.

Left out on purpose: mammography and intra-oral X-ray (never a hand); XA and RF (series of frames from a
C-arm, of unknown geometry and exposure); multi-frame true colour and single-bit captures (no grey
radiograph); presentation states, dose reports and key objects, which some modalities send along with a study.
Their contexts are rejected, so that the sender knows, instead of being stored for nothing.
"""

TRANSFER_SYNTAXES: tuple[uid.UID, ...] = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.RLELossless,
    uid.JPEG2000,
    uid.JPEGLSNearLossless,
    uid.JPEGExtended12Bit,
    uid.JPEGBaseline8Bit,
    # Retired in 2006, and still all that some old CR readers offer beside the default.
    uid.ExplicitVRBigEndian,
)
"""In the order of preference where one context offers several: what needs no decoder, then lossless, then
lossy.

Deflated is not among them and must not be: a few kilobytes of it inflate to gigabytes before a header can be
read.
"""

UNCOMPRESSED: tuple[uid.UID, ...] = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)
"""In the order of preference; a data set is converted between the two where a peer takes only the other."""

VERIFICATION: uid.UID = Verification
STORAGE_COMMITMENT: uid.UID = StorageCommitmentPushModel


def accepted_contexts() -> list[PresentationContext]:
    """The receiver's presentation contexts: Verification and every class of :data:`RADIOGRAPHS`."""
    verification = build_context(VERIFICATION, list(UNCOMPRESSED))
    return [verification, *(build_context(radiograph, list(TRANSFER_SYNTAXES)) for radiograph in RADIOGRAPHS)]


class Proposal(NamedTuple):
    """A presentation context to propose."""

    sop_class_uid: uid.UID
    syntaxes: tuple[uid.UID, ...]


def proposals(
    sop_class_uid: uid.UID, transfer_syntax_uid: uid.UID, *, decompress: bool
) -> tuple[Proposal, ...]:
    """What to propose for an object to be sent: it as it is and, where it can be, decompressed.

    Not in one context: of several transfer syntaxes most peers take the uncompressed one, even where they
    take both.
    """
    if transfer_syntax_uid in UNCOMPRESSED:
        return (Proposal(sop_class_uid, UNCOMPRESSED),)
    as_it_is = Proposal(sop_class_uid, (transfer_syntax_uid,))
    return (as_it_is, Proposal(sop_class_uid, UNCOMPRESSED)) if decompress else (as_it_is,)
