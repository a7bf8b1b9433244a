"""The store between processes: real ones, racing each other or killed, on both engines."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from sqlalchemy import text
from support.store import STUDY, attempts, claim_one, content, new_report, queue_study, receive
from support.waiting import PATIENCE_SECONDS, eventually

from boneage_node.spool import FolderSpool
from boneage_node.store import Store, StudyState, open_engine

TESTS = Path(__file__).parent.parent

PREAMBLE = """
import itertools, os, signal, sys, time
from datetime import timedelta
from pathlib import Path
from sqlalchemy import event
from support.store import *
from boneage_node.store import *

url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def say(*words):
    print(*words, flush=True)

def open_store():
    return Store.open(url, folder / "spool", reserve_bytes=0)

class Alone:
    '''Notices when two processes are at one thing at a time.'''
    def __init__(self, thing):
        self.path = folder / f"{thing}.busy"
    def __enter__(self):
        self.path.touch(exist_ok=False)
    def __exit__(self, *_):
        self.path.unlink()

say("ready")
sys.stdin.readline()
"""


class Process:
    """A Python process that has imported everything and waits for the word to go."""

    def __init__(self, script: str, url: str, folder: Path, name: str = "") -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PREAMBLE + dedent(script), url, folder, name],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def go(self) -> None:
        assert self.child.stdin is not None
        assert self.read_line() == "ready", self.child.communicate()
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def read_line(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().rstrip("\n")

    def kill(self) -> list[str]:
        """Kill -9; what it had still said."""
        self.child.kill()
        return self.child.communicate(timeout=PATIENCE_SECONDS)[0].splitlines()

    def end(self, *, by_signal: int = 0) -> list[str]:
        """Wait for its end; the lines it said."""
        output, errors = self.child.communicate(timeout=PATIENCE_SECONDS)
        assert self.child.returncode == -by_signal, errors
        return output.splitlines()


@contextmanager
def processes(count: int, script: str, url: str, folder: Path) -> Iterator[list[Process]]:
    """This many processes of one script, started at the same moment, and none left over."""
    started = [Process(script, url, folder, f"process-{number}") for number in range(count)]
    try:
        for process in started:
            process.go()
        yield started
    finally:
        for process in started:
            process.kill()


def wait_until(condition: Callable[[], bool], started: list[Process]) -> None:
    """Wait for what the processes are to bring about; says what ended one that should be running."""

    def brought_about() -> bool:
        for process in started:
            if process.child.poll() is not None:
                process.end()
                raise AssertionError("a process ended by itself")
        return condition()

    eventually(brought_about)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(database_url, tmp_path / "spool", reserve_bytes=0) as store:
        yield store


def test_many_processes_make_the_database_at_once(database_url: str, tmp_path: Path) -> None:
    with processes(4, "open_store().close()", database_url, tmp_path) as started:
        for process in started:
            process.end()
    Store.open(database_url, tmp_path / "spool", migrate=False).close()  # refuses any other schema


WORKER = """
store = open_store()
while not (folder / "stop").exists():
    for job in store.queue.claim(name, 2, 600, attempts()):
        with Alone(f"study {job.study_id}"):
            say(job.id, job.attempts)
            uid = f"{job.study_instance_uid}.9.{len(job.instances)}"
            store.queue.complete(job, name, [new_report(store, job, uid)])
store.close()
"""


def test_workers_share_the_jobs_and_never_a_study(store: Store, database_url: str, tmp_path: Path) -> None:
    uids = [f"1.2.{number}" for number in range(12)]
    with processes(4, WORKER, database_url, tmp_path) as workers:
        # More images of the same studies settle while they are being read.
        for image in range(3):
            for uid in uids:
                receive(store, study=uid, instance=f"{uid}.{image}", quiet_seconds=0)
                store.intake.settle()
        wait_until(lambda: store.queue.counts()["todo"] + store.queue.counts()["doing"] == 0, workers)
        (tmp_path / "stop").touch()
        claims = [line for worker in workers for line in worker.end()]
    assert len(claims) == len(set(claims)), "a job was claimed twice"
    assert all(line.endswith(" 1") for line in claims)
    assert store.queue.counts()["done"] == len(claims)
    assert store.studies.counts()["reported"] == len(uids)
    for uid in uids:
        # However the readings fell, the last one saw all images.
        assert store.studies.show(uid).reports[-1].sop_instance_uid == f"{uid}.9.3"


SENDER = """
store = open_store()
while not (folder / "stop").exists():
    due = [store.outbox.claim(*route, 3, 600, attempts()) for route in store.outbox.routes()]
    for task in itertools.chain(*due):
        with Alone(f"study {task.study_id} to {task.destination[0]}"):
            if task.attempts == 1 and task.id % 3 == 0:
                store.outbox.failed(task.id, "busy", attempts(9))
                continue
            with (folder / f"{task.destination[0]} {task.study_id}.sent").open("a") as sent:
                sent.write(task.sop_instance_uid.rpartition(".")[2])
        store.outbox.delivered(task.id)
store.close()
"""


def test_senders_send_nothing_after_what_is_newer(store: Store, database_url: str, tmp_path: Path) -> None:
    both = ["A@host:104", "B@host:104"]
    with processes(3, SENDER, database_url, tmp_path) as senders:
        for number in range(4):
            for uid in (f"1.2.{study}" for study in range(6)):
                queue_study(store, uid, data=str(number).encode())
                job = claim_one(store)
                store.queue.complete(job, "worker-1", [new_report(store, job, f"{uid}.{number}", to=both)])
        wait_until(lambda: store.outbox.counts()["done"] == 48, senders)
        (tmp_path / "stop").touch()
        for sender in senders:
            sender.end()
    sent = [path.read_text() for path in tmp_path.glob("*.sent")]
    assert len(sent) == 12
    assert all(numbers == "".join(sorted(set(numbers))) and numbers[-1] == "3" for numbers in sent), sent


def test_many_associations_send_the_same_objects_at_once(store: Store) -> None:
    objects = [(f"1.2.{study}", f"1.2.{study}.{image}") for study in range(3) for image in range(3)]
    sendings = objects * 6
    random.shuffle(sendings)
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(lambda ids: receive(store, study=ids[0], instance=ids[1]), sendings))
    assert sum(item.new for item in accepted) == len(objects)
    assert len({item.instance_id for item in accepted}) == len(objects)
    assert len(list(store.spool.keys())) == len(objects)
    assert store.studies.counts()["receiving"] == 3


KILLED = {
    "once the file is linked": """
        class Dying(FolderSpool):
            def keep(self, incoming):
                super().keep(incoming)
                os.kill(os.getpid(), signal.SIGKILL)
        store.spool = store.intake._spool = Dying(folder / "spool", 0)
        """,
    "once the row is inserted": """
        def die(connection, cursor, statement, *rest):
            if statement.startswith("INSERT INTO instances"):
                os.kill(os.getpid(), signal.SIGKILL)
        event.listen(store.engine, "after_cursor_execute", die)
        """,
    "before the commit": """
        def die(connection, cursor, statement, *rest):
            if statement.startswith("INSERT INTO events"):
                event.listen(store.engine, "commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        event.listen(store.engine, "after_cursor_execute", die)
        """,
}


@pytest.mark.parametrize("when", KILLED)
def test_killed_before_the_commit_leaves_no_trace(
    store: Store, database_url: str, tmp_path: Path, when: str
) -> None:
    script = "store = open_store()" + dedent(KILLED[when]) + "receive(store)\nsay('acknowledged')\n"
    with processes(1, script, database_url, tmp_path) as (receiver,):
        assert receiver.end(by_signal=signal.SIGKILL) == []
    assert len(list(store.spool.keys())) == 1, "the file had been linked"
    assert store.sweep_orphans(older_than_seconds=0) == 1
    assert store.spool.sweep_incoming(older_than_seconds=0) == 1
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []
    assert store.studies.list() == []
    assert receive(store).new


def test_killed_anywhere_loses_nothing_it_acknowledged(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    script = """
        store = open_store()
        number = int((folder / "next").read_text())
        while True:
            receive(store, study=f"1.2.{number}", instance=f"1.2.{number}.1", data=str(number).encode())
            say("acknowledged", number)
            number += 1
        """
    acknowledged: list[int] = []
    for _ in range(4):
        (tmp_path / "next").write_text(str(len(acknowledged)))
        with processes(1, script, database_url, tmp_path) as (receiver,):
            lines = [receiver.read_line() for _ in range(random.randint(1, 8))]
            lines += receiver.kill()
        acknowledged += [int(line.removeprefix("acknowledged ")) for line in lines]
        store.sweep_orphans(older_than_seconds=0)
    assert acknowledged == list(range(len(acknowledged)))
    for number in acknowledged:
        (instance,) = store.studies.show(f"1.2.{number}").instances
        assert content(instance.file) == str(number).encode()
    # At most one more: committed, but killed before it could say so.
    filed = store.studies.counts()["receiving"]
    assert filed - len(acknowledged) in {0, 1}
    assert len(list(store.spool.keys())) == filed


def test_a_killed_workers_study_is_read_by_another_once(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    queue_study(store)
    script = """
        store = open_store()
        job = claim_one(store, "the killed", lease_seconds=1)
        store.spool.write(b"a report that nobody hears of")
        say("reading")
        time.sleep(600)
        """
    with processes(1, script, database_url, tmp_path) as (worker,):
        assert worker.read_line() == "reading"
        worker.kill()
    (job,) = eventually(lambda: store.queue.claim("another", 1, 60, attempts()))
    assert job.attempts == 2
    store.queue.complete(job, "another", [new_report(store, job)])
    study = store.studies.show(STUDY)
    assert (study.state, len(study.reports)) == (StudyState.REPORTED, 1)
    assert store.sweep_orphans(older_than_seconds=0) == 1


def test_goes_on_when_postgresql_has_dropped_its_connections(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql").new_database()
    with Store.open(url, tmp_path / "spool", reserve_bytes=0) as store:
        receive(store, instance="1.2.1")
        other = open_engine(url)
        with other.connect() as connection:
            everybody_else = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
            connection.execute(text(f"{everybody_else} AND datname = current_database()"))
        other.dispose()
        assert receive(store, instance="1.2.2").new


def test_a_second_store_sees_what_the_first_committed(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    accepted = receive(store)
    engine = open_engine(database_url)
    with Store(engine, FolderSpool(tmp_path / "spool", 0)) as second:
        assert second.studies.show(accepted.study_id) == store.studies.show(STUDY)
