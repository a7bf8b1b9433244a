"""The folder that ``replay`` keeps what came back in: of each file the report and the picture."""

from __future__ import annotations

import shutil
from itertools import chain, count
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from boneage_node.store import ReportDetail
from boneage_node.traffic.document import DocumentForm


class OutputFolder:
    """A folder of reports and pictures, named after the files they are of.

    Args:
        folder: Where they are kept; made where it is missing.
        received: Folder of the documents as they came back.
    """

    def __init__(self, folder: Path, received: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._received = {
            str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): path
            for path in sorted(received.iterdir())
        }
        self._names: set[str] = set()

    def keep(self, file: Path, report: ReportDetail) -> dict[str, str]:
        """Keep what was sent of a report; return the paths of its ``report`` and ``picture``."""
        name = self._free_name(file.stem)
        structured, picture = self._folder / f"{name}.sr.dcm", self._folder / f"{name}.png"
        shutil.copyfile(self._of(report, DocumentForm.SR), structured)
        capture = dcmread(self._of(report, DocumentForm.PICTURE))
        Image.fromarray(capture.pixel_array).save(picture)
        return {"report": str(structured), "picture": str(picture)}

    def _of(self, report: ReportDetail, form: DocumentForm) -> Path:
        document = report.document(form)
        assert document is not None, "the temporary node sends both"
        assert document.sop_instance_uid is not None, "both are DICOM"
        return self._received[document.sop_instance_uid]

    def _free_name(self, stem: str) -> str:
        """The stem, or where a file from another folder has it already, the stem and a number."""
        numbered = (f"{stem}-{number}" for number in count(2))
        name = next(name for name in chain([stem], numbered) if name not in self._names)
        self._names.add(name)
        return name
