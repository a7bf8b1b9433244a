"""What the acceptance tests share: a PACS after the node has reported to it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmread

from .orthanc_peer import Orthanc


@dataclass(frozen=True)
class Pacs:
    """The PACS after the node has read all samples.

    Attributes:
        orthanc: It.
        results: What the node says of each study, by StudyInstanceUID.
    """

    orthanc: Orthanc
    results: dict[str, dict[str, Any]]

    def made_of(self, study_instance_uid: str, modality: str) -> Dataset:
        """The one object of a modality in a study."""
        query = {"StudyInstanceUID": study_instance_uid, "Modality": modality}
        (identifier,) = self.orthanc.post("/tools/find", {"Level": "Instance", "Query": query})
        return dcmread(BytesIO(self.orthanc.get_bytes(f"/instances/{identifier}/file")))
