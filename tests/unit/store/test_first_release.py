"""A database of 0.1.0 with studies at every step: the new version opens it, and all of it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.first_release import RESULT, make_database
from support.store import DX, SR, Clock, attempts, claim_deliveries, new_report

from boneage_node.spool import FolderSpool
from boneage_node.store import Store, check_schema, migrate, open_engine
from boneage_node.traffic.commitment import CommitmentResult, ReferencedSop
from boneage_node.traffic.document import DocumentForm

PACS = "PACS@pacs.example:104"
REQUESTS = attempts(3, wait_seconds=600)

ROWS = f"""
INSERT INTO studies (id, study_instance_uid, state, received_at, updated_at, settle_at) VALUES
    (1, '1.2.1', 'receiving', '2026-03-29 00:59:00.000000', '2026-03-29 00:59:00.000000',
     '2026-03-29 01:00:00.000000'),
    (2, '1.2.2', 'queued', '2026-03-29 00:50:00.000000', '2026-03-29 00:50:00.000000', NULL),
    (3, '1.2.3', 'reading', '2026-03-29 00:40:00.000000', '2026-03-29 00:40:00.000000', NULL),
    (4, '1.2.4', 'reported', '2026-03-29 00:30:00.000000', '2026-03-29 00:30:00.000000', NULL),
    (5, '1.2.5', 'reported', '2026-03-29 00:20:00.000000', '2026-03-29 00:20:00.000000', NULL);
INSERT INTO instances (id, study_id, sop_instance_uid, sop_class_uid, series_instance_uid,
    transfer_syntax_uid, sha256, file_name, size_bytes, calling_ae_title, received_at)
    SELECT id, id, study_instance_uid || '.1.1', '{DX}', study_instance_uid || '.1', '1.2.840.10008.1.2.1',
    'sha-' || id, '0000000000000000000000000000000' || id || '.dcm', 6, 'MODALITY', received_at FROM studies;
INSERT INTO jobs (id, study_id, status, attempts, created_at, scheduled_at, finished_at, leased_until, worker)
    VALUES
    (2, 2, 'todo', 1, '2026-03-29 00:50:00.000000', '2026-03-29 00:50:00.000000', NULL, NULL, NULL),
    (3, 3, 'doing', 1, '2026-03-29 00:40:00.000000', '2026-03-29 00:40:00.000000', NULL,
     '2026-03-29 00:59:00.000000', 'worker-0'),
    (4, 4, 'done', 1, '2026-03-29 00:30:00.000000', '2026-03-29 00:30:00.000000',
     '2026-03-29 00:31:00.000000', NULL, 'worker-0');
INSERT INTO reports (id, study_id, instance_id, kind, sop_instance_uid, result, created_at) VALUES
    (4, 4, 4, 'assessment', '2.25.4', '{RESULT}', '2026-03-29 00:31:00.000000'),
    (5, 5, 5, 'assessment', '2.25.5', '{RESULT}', '2026-03-29 00:21:00.000000');
INSERT INTO documents (id, report_id, form, sop_class_uid, sop_instance_uid, file_name) VALUES
    (4, 4, 'sr', '{SR}', '2.25.4', '00000000000000000000000000000014.dcm'),
    (5, 5, 'sr', '{SR}', '2.25.5', '00000000000000000000000000000015.dcm');
INSERT INTO deliveries (id, document_id, study_id, destination, status, attempts, created_at, scheduled_at,
    finished_at, leased_until, last_error) VALUES
    (1, 4, 4, '{PACS}', 'todo', 2, '2026-03-29 00:31:00.000000', '2026-03-29 00:59:00.000000', NULL, NULL,
     'Nothing listens.'),
    (2, 4, 4, 'SLOW@host:104', 'doing', 1, '2026-03-29 00:31:00.000000', '2026-03-29 00:31:00.000000', NULL,
     '2026-03-29 00:59:00.000000', NULL),
    (3, 4, 4, 'DEAD@host:104', 'dead', 9, '2026-03-29 00:31:00.000000', '2026-03-29 00:31:00.000000',
     '2026-03-29 00:50:00.000000', NULL, 'refused');
INSERT INTO deliveries (id, document_id, study_id, destination, status, attempts, created_at, scheduled_at,
    finished_at)
    SELECT 10 + number, 5, 5, 'STATE-' || number || '@host:104', 'done', 1, '2026-03-29 00:21:00.000000',
    '2026-03-29 00:21:00.000000', '2026-03-29 00:22:00.000000'
    FROM (SELECT 0 AS number UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5)
    AS numbers;
INSERT INTO commitments (id, delivery_id, study_id, destination, state, transaction_uid, attempts, created_at,
    due_at, finished_at, last_error) VALUES
    (1, 10, 5, 'STATE-0@host:104', 'to_ask', NULL, 0, '2026-03-29 00:22:00.000000',
     '2026-03-29 00:22:00.000000', NULL, NULL),
    (2, 11, 5, 'STATE-1@host:104', 'asked', '2.25.901', 1, '2026-03-29 00:22:00.000000',
     '2026-03-29 01:22:00.000000', NULL, NULL),
    (3, 12, 5, 'STATE-2@host:104', 'committed', '2.25.902', 1, '2026-03-29 00:22:00.000000', NULL,
     '2026-03-29 00:23:00.000000', NULL),
    (4, 13, 5, 'STATE-3@host:104', 'refused', '2.25.903', 1, '2026-03-29 00:22:00.000000', NULL,
     '2026-03-29 00:23:00.000000', 'no such object'),
    (5, 14, 5, 'STATE-4@host:104', 'unanswered', '2.25.904', 6, '2026-03-29 00:22:00.000000', NULL,
     '2026-03-29 00:23:00.000000', NULL),
    (6, 15, 5, 'STATE-5@host:104', 'unsupported', '2.25.905', 1, '2026-03-29 00:22:00.000000', NULL,
     '2026-03-29 00:23:00.000000', 'it takes none');
INSERT INTO commitment_transactions (id, transaction_uid, destination, asked_at) VALUES
    (1, '2.25.901', 'STATE-1@host:104', '2026-03-29 00:22:00.000000');
INSERT INTO commitment_requests (id, calling_ae_title, transaction_uid, instances, status, attempts,
    received_at, scheduled_at, finished_at) VALUES
    (1, 'MODALITY', '2.25.800', '[["{DX}", "1.2.4.1.1"]]', 'todo', 1, '2026-03-29 00:50:00.000000',
     '2026-03-29 00:51:00.000000', NULL),
    (2, 'OTHER', '2.25.801', '[]', 'done', 1, '2026-03-29 00:50:00.000000', '2026-03-29 00:50:00.000000',
     '2026-03-29 00:51:00.000000');
"""


@pytest.fixture
def store(database_url: str, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A database of 0.1.0, opened by this version."""
    make_database(database_url, ROWS)
    engine = open_engine(database_url)
    assert check_schema(engine) == "0003"
    migrate(engine)
    with Store(engine, FolderSpool(tmp_path / "spool", reserve_bytes=0), clock) as store:
        yield store


def test_waiting_studies_are_settled_read_and_reported(store: Store, clock: Clock) -> None:
    assert store.studies.counts() == {
        "receiving": 1, "queued": 1, "reading": 1, "reported": 2, "refused": 0, "set_aside": 0,
    }  # fmt: skip
    lost, waiting = store.queue.claim("worker-0", 10, 60, attempts())
    assert (lost.study_instance_uid, lost.attempts) == ("1.2.3", 2)
    assert (waiting.study_instance_uid, waiting.attempts) == ("1.2.2", 2)
    clock.go_on(31)
    assert store.intake.settle() == 1
    (settled,) = store.queue.claim("worker-0", 10, 60, attempts())
    assert settled.study_instance_uid == "1.2.1"
    assert store.studies.show("1.2.4").reports[0].result.interval_months == (100.0, 140.0)
    for job in (lost, waiting, settled):
        store.queue.complete(job, "worker-0", [new_report(store, job, f"2.25.10{job.study_id}")])
    assert store.studies.counts()["reported"] == 5


def test_deliveries_go_on(store: Store) -> None:
    assert store.outbox.routes() == [(PACS, DocumentForm.SR), ("SLOW@host:104", DocumentForm.SR)]
    due, slow = claim_deliveries(store)
    assert (due.destination, due.attempts, due.file.key) == (PACS, 3, "00000000000000000000000000000014.dcm")
    assert (slow.destination, slow.attempts) == ("SLOW@host:104", 2)
    for task in (due, slow):
        store.outbox.delivered(task.id, request_commitment=True)
    assert store.commitments.destinations() == [PACS, "SLOW@host:104", "STATE-0@host:104"]
    assert store.studies.retry("1.2.4").deliveries == 1
    assert [task.destination for task in claim_deliveries(store)] == ["DEAD@host:104"]


def test_commitments_keep_their_states_and_go_on(store: Store, clock: Clock) -> None:
    assert set(store.commitments.counts().values()) == {1}
    states = {
        delivery.destination[6]: delivery.commitment for delivery in store.studies.show("1.2.5").deliveries
    }
    assert [states[str(number)].state.value for number in range(6)] == [
        "to_ask", "asked", "committed", "refused", "unanswered", "unsupported",
    ]  # fmt: skip
    assert (states["3"].last_error, states["1"].attempts) == ("no such object", 1)
    assert store.commitments.destinations() == ["STATE-0@host:104"]
    assert store.commitments.claim("STATE-0@host:104", 10, "2.25.910", REQUESTS)
    reported = store.commitments.reported(
        CommitmentResult("2.25.901", (ReferencedSop(SR, "2.25.5"),), ()), attempts()
    )
    assert reported is not None
    assert reported.committed == 1
    assert store.studies.retry("1.2.5").commitments == 1
    assert store.commitments.destinations() == ["STATE-4@host:104"]


def test_an_overdue_result_is_requested_again(store: Store, clock: Clock) -> None:
    clock.go_on(3600)
    request = store.commitments.claim("STATE-1@host:104", 10, "2.25.911", REQUESTS)
    assert request is not None
    assert request.references == (ReferencedSop(SR, "2.25.5"),)


def test_requests_of_peers_are_answered(store: Store) -> None:
    assert store.commitment_requests.peers() == ["MODALITY"]
    request = store.commitment_requests.claim("MODALITY", 60, attempts())
    assert request is not None
    assert (request.references, request.attempts) == ((ReferencedSop(DX, "1.2.4.1.1"),), 2)
    store.commitment_requests.result_sent(request.id, store.commitment_requests.make_result(request))
    assert store.commitment_requests.counts() == {"todo": 0, "doing": 0, "done": 2, "dead": 0}
