"""A decoded, eligible hand image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from boneage_node.bone_age import Hand
from boneage_node.traffic.file import StoredFile

from .dataset import quiet_pydicom, read_dataset
from .eligibility import check_eligibility
from .grey import to_grey
from .header import Header, read_header
from .pixels import decode_pixels


@dataclass(frozen=True)
class Radiograph:
    """A hand as it was imaged.

    Attributes:
        header: What the header says.
        pixels: Shape (rows, columns), float32 in [0, 1], bone bright; size and orientation as stored.
    """

    header: Header
    pixels: npt.NDArray[np.float32]

    @property
    def hand(self) -> Hand:
        """The input of a reading."""
        return Hand(
            pixels=self.pixels,
            sex=self.header.sex,
            chronological_age_months=self.header.chronological_age_months,
            laterality=self.header.laterality,
        )


def read_radiograph(source: StoredFile | Dataset, *, sex_required: bool = True) -> Radiograph:
    """Read a radiograph of a hand, or say why not.

    The reasons are looked for in this order, and the first found is given: unreadable file; those of
    ``check_eligibility`` (kind of object, not a hand, adult, sex unknown); no pixels, pixels of an
    unsupported kind, too large, damaged. So nothing that must not be read is ever decoded.

    Args:
        source: A DICOM file, or a dataset with its file meta information.
        sex_required: Refuse a patient of unknown sex.

    Raises:
        Refusal: It must not be read.
        OSError: The file cannot be opened.
    """
    dataset = source if isinstance(source, Dataset) else read_dataset(source)
    header = read_header(dataset)
    with quiet_pydicom():
        check_eligibility(header, sex_required=sex_required)
        pixels = to_grey(decode_pixels(dataset), dataset)
    return Radiograph(header, pixels)
