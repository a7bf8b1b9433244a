"""What a node does about processes that hang or are killed at the worst moment, and about a second node."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from pydicom import dcmread
from support.node_process import COMMAND, NodeProcess, environment, run
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.postgresql import PostgreSQL
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.replay.pacs import SmallPacs
from boneage_node.store import Status, Store, StudyState

Send = Callable[..., subprocess.CompletedProcess[str]]

HANDS = ("girl-08y-dx.dcm", "boy-09y-dx-right.dcm", "girl-13y-dx-mono1.dcm", "boy-15y-cr.dcm")


@pytest.fixture
def hands(sample_dicom: Path) -> list[Path]:
    return [sample_dicom / name for name in HANDS]


def open_store(node: NodeProcess) -> Store:
    """The store of a node that is running."""
    return Store.open(f"sqlite:///{node.folder}/boneage.sqlite3", node.folder / "spool", migrate=False)


def freeze(process: int) -> None:
    """Stop a process where it stands."""

    def stands_still() -> bool:
        stats = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/stat")]
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    os.kill(process, signal.SIGSTOP)
    eventually(stands_still)


def freeze_between_transactions(process: int, node: NodeProcess) -> None:
    """Stop a process while it does not hold the database."""

    def caught() -> bool:
        freeze(process)
        with closing(sqlite3.connect(node.folder / "boneage.sqlite3", timeout=1.0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                os.kill(process, signal.SIGCONT)
                return False
            return True

    eventually(caught)


def freeze_while_reading(node: NodeProcess, store: Store) -> int:
    """Stop the worker in the middle of a reading; its process id."""
    worker = node.process_ids()["worker-0"]

    def caught() -> bool:
        if not store.queue.counts()["doing"]:
            return False
        freeze(worker)
        if store.queue.counts()["doing"]:
            return True
        os.kill(worker, signal.SIGCONT)
        return False

    eventually(caught)
    return worker


@pytest.mark.parametrize("victim", ["worker", "node"])
def test_killed_in_the_middle_of_a_reading(
    victim: str, hands: list[Path], tmp_path: Path, orthanc: Orthanc, storescu: Send
) -> None:
    flags = ("--send-to", orthanc.destination)
    with NodeProcess(tmp_path / "node", *flags, lease_seconds="5") as node:
        with open_store(node) as store:
            assert storescu(node.port, *hands).returncode == 0
            worker = freeze_while_reading(node, store)
            doing = {s.study_instance_uid for s in store.studies.list(state=StudyState.READING)}
            if victim == "worker":
                os.kill(worker, signal.SIGKILL)
        if victim == "node":
            node.kill()
            node = NodeProcess(tmp_path / "node", *flags, lease_seconds="5")
        with node, open_store(node) as store:
            eventually(lambda: store.outbox.counts()["done"] == 2 * len(hands))  # report and picture
            details = [store.studies.show(str(dcmread(hand).StudyInstanceUID)) for hand in hands]
            assert {detail.state for detail in details} == {StudyState.REPORTED}
            assert all(len(detail.reports) == 1 for detail in details)
            assert {d.study_instance_uid: d.jobs[0].attempts for d in details} == {
                detail.study_instance_uid: 2 if detail.study_instance_uid in doing else 1
                for detail in details
            }
            sent = [event for detail in details for event in detail.events if event.kind == "delivery-done"]
            assert len(sent) <= 2 * len(hands)
            for detail in details:
                assert orthanc.find(detail.reports[0].sop_instance_uid) is not None
    assert len(orthanc.post("/tools/find", {"Level": "Instance", "Query": {"Modality": "SR"}})) == len(hands)


def test_a_reading_that_hangs_is_ended_and_at_last_set_aside(
    hands: list[Path], tmp_path: Path, storescu: Send
) -> None:
    settings = {
        "reading_timeout_seconds": "0.001",
        "reading_lease_seconds": "1",
        "reading_max_attempts": "2",
    }
    with NodeProcess(tmp_path / "node", **settings) as node, open_store(node) as store:
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: store.studies.counts()["set_aside"] == 1)
        (study,) = store.studies.list()
        (job,) = store.studies.show(study.id).jobs
        assert job.status is Status.DEAD
        assert job.attempts == 2
        assert "died while reading it" in (job.last_error or "")
        assert run("echo", f"BONEAGE@127.0.0.1:{node.port}").returncode == 0
        assert node.terminate() == 0


def test_a_lost_mount_and_a_full_disk_are_waited_for(
    hands: list[Path], tmp_path: Path, storescu: Send
) -> None:
    """Neither is a fault of the study: it is read when the node is well again, and has used up no attempt."""
    nobody = f"PACS@127.0.0.1:{free_port()}"
    with (
        NodeProcess(tmp_path / "node", "--send-to", nobody, reading_max_attempts="1") as node,
        open_store(node) as store,
    ):
        spool, worker = node.folder / "spool", node.process_ids()["worker-0"]

        def queued(hand: Path) -> None:
            freeze_between_transactions(worker, node)
            assert storescu(node.port, hand).returncode == 0
            eventually(lambda: store.queue.counts()["todo"] == 1)

        queued(hands[0])
        spool.rename(node.folder / "unmounted")
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: said(node, "worker-0", "node in trouble"))
        doctor = run("doctor", "--data-dir", node.folder)
        assert doctor.returncode == 1
        assert "wait for the node" in " ".join(doctor.stdout.split())
        (node.folder / "unmounted").rename(spool)
        eventually(lambda: store.studies.counts()["reported"] == 1)

        queued(hands[3])
        before = said(node, "worker-0", "node in trouble")
        room_bytes = node.log_file.stat().st_size + 30_000  # for the log, not for a picture
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
        os.kill(worker, signal.SIGCONT)
        eventually(  # the disk is SQLite's, too
            lambda: (
                said(node, "worker-0", "database away") or said(node, "worker-0", "node in trouble") > before
            )
        )
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: store.studies.counts()["reported"] == 2)
        assert [store.studies.show(study).jobs[0].attempts for study in (1, 2)] == [1, 1]
        assert said(node, "node", "process ended") == 0


def test_a_receiver_and_a_control_that_are_killed_come_back(
    hands: list[Path], tmp_path: Path, storescu: Send
) -> None:
    (tmp_path / "pacs").mkdir()
    with (
        SmallPacs(tmp_path / "pacs") as pacs,
        NodeProcess(tmp_path / "node", "--send-to", pacs.destination) as node,
    ):
        for name in ("receiver", "control"):
            os.kill(node.process_ids()[name], signal.SIGKILL)
        assert run("echo", f"BONEAGE@127.0.0.1:{node.port}").returncode == 0, "it waits for the receiver"
        back = ["receiver", "control"]
        eventually(
            lambda: (
                sorted(line["child"] for line in node.log() if line["event"] == "process ready")
                == sorted([*back, *back, "worker-0"])
            )
        )
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: len(list((tmp_path / "pacs").iterdir())) == 1)


def test_a_database_that_goes_away_and_comes_back(
    hands: list[Path], tmp_path: Path, storescu: Send, postgresql: PostgreSQL
) -> None:
    (tmp_path / "pacs").mkdir()
    url = postgresql.new_database()
    with (
        SmallPacs(tmp_path / "pacs") as pacs,
        NodeProcess(tmp_path / "node", "--send-to", pacs.destination, storage_database_url=url) as node,
    ):
        let_in(postgresql, url, False)
        assert storescu(node.port, hands[0]).returncode != 0
        for process in ("control", "worker-0"):
            eventually(lambda process=process: said(node, process, "database away"))
        let_in(postgresql, url, True)
        for process in ("control", "worker-0"):
            eventually(lambda process=process: said(node, process, "database back"))
            assert said(node, process, "database away") == 1
        assert storescu(node.port, hands[0]).returncode == 0
        eventually(lambda: len(list((tmp_path / "pacs").iterdir())) == 1)
        assert said(node, "node", "process ended") == 0


def let_in(cluster: PostgreSQL, url: str, allowed: bool) -> None:
    """Let clients use a database, or throw them out and keep them out."""
    name = url.removeprefix("postgresql+psycopg://tests@/").split("?")[0]
    server = cluster.url("postgres").replace("+psycopg", "")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}")
        if not allowed:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(query, [name])


def said(node: NodeProcess, process: str, event: str) -> int:
    """How often a process has logged an event."""
    return sum(line["process"] == process and line["event"] == event for line in node.log())


def test_workers_share_a_data_folder_but_receivers_do_not(tmp_path: Path) -> None:
    with NodeProcess(tmp_path / "node", "--role", "receiver") as node:
        second = run("start", "--port", "0", "--data-dir", node.folder, "--role", "receiver")
        assert second.returncode == 7
        assert "Another node's receiver" in second.stderr
    # no receiver listens, so there is no port to be ready on
    roles = [
        subprocess.Popen(
            [*COMMAND, "start", "--data-dir", str(tmp_path / "node"), "--role", role],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(logs_format="json"),
        )
        for role in ("control", "worker", "worker")
    ]
    try:
        for process in roles:
            assert process.stderr is not None
            assert any('"node ready"' in line for line in process.stderr)
    finally:
        for process in roles:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
    assert [process.returncode for process in roles] == [0, 0, 0]


def test_ctrl_c_stops_the_node_like_sigterm(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node")
    os.killpg(node.process.pid, signal.SIGINT)  # a terminal sends it to every process of the group
    assert node.process.wait(timeout=PATIENCE_SECONDS) == 0
    assert {line["event"] for line in node.log()} >= {"node ready", "process stopped", "node stopped"}
    assert "Traceback" not in node.log_file.read_text()
