"""A study over several associations of one station is read once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from support.node_process import NodeProcess
from support.waiting import eventually

from boneage_node.dimse.contexts import VERIFICATION
from boneage_node.store import Store

Send = Callable[..., subprocess.CompletedProcess[str]]


def test_the_right_hand_waits_for_the_left_that_comes_over_another_association(
    sample_dicom: Path, tmp_path: Path, storescu: Send
) -> None:
    right = sample_dicom / "girl-08y-dx.dcm"
    left = dcmread(right)
    left.SOPInstanceUID = left.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    modality = AE("STORESCU")  # as DCMTK calls itself
    modality.add_requested_context(VERIFICATION)
    modality.add_requested_context(left.SOPClassUID, left.file_meta.TransferSyntaxUID)
    with NodeProcess(tmp_path / "node") as node:
        association = modality.associate("127.0.0.1", node.port, ae_title="BONEAGE")
        assert association.is_established
        assert storescu(node.port, right).returncode == 0
        for _ in range(8):  # control would settle it twice a second
            assert association.send_c_echo().Status == 0
            time.sleep(0.25)
        assert association.send_c_store(left).Status == 0
        association.release()
        with Store.open(
            f"sqlite:///{node.folder}/boneage.sqlite3", node.folder / "spool", migrate=False
        ) as store:
            eventually(lambda: store.studies.counts()["reported"] == 1)
            (study,) = store.studies.list()
            assert study.instances == 2
            assert len(store.studies.show(study.id).jobs) == 1
