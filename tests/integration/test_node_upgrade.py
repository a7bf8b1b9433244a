"""A data folder that release 0.1.0 left with studies under way: this version starts on it and goes on."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from pydicom import dcmread
from support.first_release import RESULT, make_database
from support.node_process import NodeProcess
from support.waiting import eventually

from boneage_node.replay.pacs import SmallPacs

LONG_AGO = "'2026-03-29 00:00:00.000000'"


def rows_of(file: Path, number: int, state: str, settle_at: str, spool: Path) -> str:
    """A study of one image in the spool, as 0.1.0 had it."""
    name = f"{number:032x}.dcm"
    (spool / name[:2]).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, spool / name[:2] / name)
    image = dcmread(file, stop_before_pixels=True)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"""
    INSERT INTO studies (id, study_instance_uid, state, received_at, updated_at, settle_at)
        VALUES ({number}, '{image.StudyInstanceUID}', '{state}', {LONG_AGO}, {LONG_AGO}, {settle_at});
    INSERT INTO instances (id, study_id, sop_instance_uid, sop_class_uid, series_instance_uid,
        transfer_syntax_uid, sha256, file_name, size_bytes, calling_ae_title, received_at)
        VALUES ({number}, {number}, '{image.SOPInstanceUID}', '{image.SOPClassUID}',
        '{image.SeriesInstanceUID}', '{image.file_meta.TransferSyntaxUID}', '{sha256}', '{name}',
        {file.stat().st_size}, 'MODALITY', {LONG_AGO});
    """


def test_a_node_of_the_first_release_goes_on_as_this_version(sample_dicom: Path, tmp_path: Path) -> None:
    receiving, reading, reported = (
        sample_dicom / name for name in ("girl-08y-dx.dcm", "boy-15y-cr.dcm", "girl-01y6m-cr.dcm")
    )
    folder, spool = tmp_path / "node", tmp_path / "node" / "spool"
    document = dcmread(reported, stop_before_pixels=True)
    (tmp_path / "pacs").mkdir()
    with SmallPacs(tmp_path / "pacs") as pacs:
        statements = [
            rows_of(receiving, 1, "receiving", LONG_AGO, spool),
            rows_of(reading, 2, "reading", "NULL", spool),
            f"INSERT INTO jobs (id, study_id, status, attempts, created_at, scheduled_at, leased_until,"
            f" worker) VALUES (1, 2, 'doing', 1, {LONG_AGO}, {LONG_AGO}, {LONG_AGO}, 'killed');",
            rows_of(reported, 3, "reported", "NULL", spool),
            f"INSERT INTO reports (id, study_id, kind, sop_instance_uid, result, created_at)"
            f" VALUES (1, 3, 'assessment', '2.25.3', '{RESULT}', {LONG_AGO});"
            f"INSERT INTO documents (id, report_id, form, sop_class_uid, sop_instance_uid, file_name)"
            f" VALUES (1, 1, 'picture', '{document.SOPClassUID}', '{document.SOPInstanceUID}',"
            f" '{3:032x}.dcm');"
            f"INSERT INTO deliveries (id, document_id, study_id, destination, status, attempts, created_at,"
            f" scheduled_at) VALUES (1, 1, 3, '{pacs.destination}', 'todo', 3, {LONG_AGO}, {LONG_AGO});",
        ]
        make_database(f"sqlite:///{folder}/boneage.sqlite3", "".join(statements))
        with NodeProcess(folder, "--send-to", pacs.destination) as node:
            # A report and a picture of both studies, and what had been waiting to be sent.
            eventually(lambda: len(list((tmp_path / "pacs").iterdir())) == 5)
            assert {study["state"] for study in node.studies()} == {"reported"}
            assert node.terminate() == 0
    sent = [dcmread(file, stop_before_pixels=True) for file in (tmp_path / "pacs").iterdir()]
    assert {str(one.StudyInstanceUID) for one in sent} == {
        str(dcmread(file, stop_before_pixels=True).StudyInstanceUID)
        for file in (receiving, reading, reported)
    }
    assert sorted(one.Modality for one in sent if one.SOPInstanceUID != document.SOPInstanceUID) == [
        "OT", "OT", "SR", "SR",
    ]  # fmt: skip
