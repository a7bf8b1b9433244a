"""Context that the content of all structured reports has in common."""

from __future__ import annotations

from highdicom.sr import (
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
)

from boneage_node.report import codes
from boneage_node.report.identity import DeviceIdentity


def context(device: DeviceIdentity) -> tuple[LanguageOfContentItemAndDescendants, ObserverContext]:
    """Language of a document and the device that observed (TID 1204, TID 1002, TID 1004)."""
    observer = DeviceObserverIdentifyingAttributes(
        uid=device.uid,
        name=device.name,
        manufacturer_name=device.manufacturer,
        model_name=device.model_name,
    )
    return LanguageOfContentItemAndDescendants(CodedConcept.from_code(codes.ENGLISH)), ObserverContext(
        codes.DEVICE, observer
    )
