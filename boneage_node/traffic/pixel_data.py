"""Pictures of ours for peers that take nothing compressed."""

from __future__ import annotations

from typing import BinaryIO

from pydicom import Dataset, dcmread


def uncompressed(file: BinaryIO) -> Dataset:
    """The object in a DICOM file, its pixels decompressed where they are not; the same instance.

    Only pictures of this node are given to this, never what somebody sent.

    Args:
        file: The file, open at its beginning.

    Raises:
        InvalidDicomError: It is no DICOM file.
    """
    dataset = dcmread(file)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    return dataset
