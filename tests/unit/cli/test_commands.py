"""The commands as users run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from support import node_process
from support.command_line import run
from support.store import attempts, claim_deliveries, claim_one, new_report, queue_study, receive
from typer.main import get_command

from boneage_node.bone_age import ReasonCode, model_zoo
from boneage_node.bone_age.manifest import read_manifest
from boneage_node.cli import app
from boneage_node.cli.studies import COMMITMENT_SENTENCES
from boneage_node.replay.pacs import SmallPacs
from boneage_node.report import years_and_months
from boneage_node.store import CommitmentState, Store
from boneage_node.traffic.result import Result, ResultStatus

KEYS = tuple(field.name for field in fields(Result))

COMMANDS = [
    "start",
    "replay",
    "assess",
    "studies",
    "models",
    "echo",
    "fetch",
    "doctor",
    "phantom",
    "train",
    "evaluate",
]


def test_help_teaches_and_loads_no_torch() -> None:
    shown = node_process.run("--help")
    assert shown.returncode == 0
    for command in COMMANDS:
        assert command in shown.stdout
        assert run(command, "--help").returncode == 0


def commands(group: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    for name, command in group.commands.items():
        yield (*names, name)
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)


@pytest.mark.parametrize("command", [(), *commands(get_command(app))], ids=" ".join)
def test_help_names_nothing_that_an_installed_package_lacks(command: tuple[str, ...]) -> None:
    said = " ".join(run(*command, "--help").stdout.split())
    assert [name for name in ("docs/", "sample_dicom", "deploy/", "pip install") if name in said] == []


def test_help_is_there_at_once() -> None:
    heavy = "('torch', 'pydicom', 'sqlalchemy')"
    program = f"import sys, boneage_node.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_help_of_assess_names_every_key() -> None:
    shown = run("assess", "--help").stdout
    assert [key for key in KEYS if key not in shown] == []


def test_assess_answers_one_object_a_line(sample_dicom: Path) -> None:
    files = [sample_dicom / name for name in ("girl-08y-dx.dcm", "no-sex-10y-dx.dcm", "README.md")]
    done = run("assess", *files, "--json")
    assert done.returncode == 0, done.stderr
    hand, no_sex, text = (json.loads(line) for line in done.stdout.splitlines())
    assert all(tuple(answer) == KEYS for answer in (hand, no_sex, text))
    assert hand["status"] == "assessed"
    assert hand["sex"] == "F"
    assert hand["chronological_age_months"] == pytest.approx(99, abs=0.5)
    assert hand["interval_months"][0] < hand["bone_age_months"] < hand["interval_months"][1]
    assert hand["laterality"] == "L"
    assert (no_sex["status"], no_sex["reason"], no_sex["sex"]) == ("refused", "sex-unknown", None)
    assert no_sex["bone_age_months"] is None
    assert (text["status"], text["reason"]) == ("refused", "unreadable-file")


def test_assess_answers_as_fhir_one_resource_a_line(sample_dicom: Path) -> None:
    files = [sample_dicom / name for name in ("girl-08y-dx.dcm", "no-sex-10y-dx.dcm", "README.md")]
    done = run("assess", *files, "--fhir")
    assert done.returncode == 0, done.stderr
    hand, no_sex, text = (json.loads(line) for line in done.stdout.splitlines())
    assert (hand["resourceType"], hand["type"]) == ("Bundle", "transaction")
    observation, report = (entry["resource"] for entry in hand["entry"])
    assert 0 < observation["valueQuantity"]["value"] < 240
    assert report["conclusion"].startswith("Left hand: bone age ")
    assert "by the standards of Greulich and Pyle for girls" in report["conclusion"]
    assert "No bone age was read." in no_sex["entry"][1]["resource"]["conclusion"]
    assert (text["resourceType"], text["issue"][0]["code"]) == ("OperationOutcome", "invalid")
    assert run("assess", *files, "--fhir", "--json").returncode == 2


def test_assess_reads_unknown_sex_as_both_where_told(sample_dicom: Path) -> None:
    files = [sample_dicom / name for name in ("no-sex-10y-dx.dcm", "girl-08y-dx.dcm")]
    done = run("assess", *files, "--json", "--sex-unknown", "both")
    assert done.returncode == 0, done.stderr
    no_sex, girl = (json.loads(line) for line in done.stdout.splitlines())
    assert (no_sex["status"], no_sex["sex"], no_sex["z_score"]) == ("assessed", None, None)
    as_girl, as_boy = no_sex["bone_age_months_by_sex"]["F"], no_sex["bone_age_months_by_sex"]["M"]
    assert as_girl != as_boy
    assert no_sex["bone_age_months"] == pytest.approx((as_girl + as_boy) / 2, abs=0.1)
    low, high = no_sex["interval_months"]
    assert low < min(as_girl, as_boy) < max(as_girl, as_boy) < high
    assert girl["bone_age_months_by_sex"] == {"F": girl["bone_age_months"]}
    assert girl["z_score"] is not None
    assert girl["cautions"] == []
    shown = run("assess", files[0], "--sex-unknown", "both").stdout
    assert f"F {years_and_months(as_girl)}" in shown
    assert f"M {years_and_months(as_boy)}" in shown


def test_what_to_do_with_unknown_sex_is_one_of_two_words(sample_dicom: Path, tmp_path: Path) -> None:
    assert run("assess", sample_dicom, "--sex-unknown", "girl").returncode == 2
    start = run("start", "--sex-unknown", "girl", "--data-dir", tmp_path)
    assert start.returncode == 2
    assert "'refuse' or 'both'" in start.stderr


def test_assess_walks_folders_and_shows_a_table(sample_dicom: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    shutil.copy(sample_dicom / "chest-07y-dx.dcm", tmp_path / "deep")
    (tmp_path / "notes.txt").write_text("not DICOM")
    done = run("assess", tmp_path)
    assert done.returncode == 0
    assert "chest-07y-dx.dcm" in done.stdout
    assert "notes.txt" not in done.stdout


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    missing = run("assess", tmp_path / "missing.dcm")
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
    assert run("assess", tmp_path).returncode == 2
    assert run("assess", tmp_path, "--model", "no-such-model").returncode == 2


def test_models_are_listed_and_verified(tmp_path: Path) -> None:
    listed = run("models", "list", "--json")
    assert "hand-regions" in [json.loads(line)["name"] for line in listed.stdout.splitlines()]
    shown = run("models", "list").stdout.splitlines()
    assert [line.split()[0] for line in shown[:2]] == ["model", "hand-regions"]
    assert max(map(len, shown)) <= 80
    assert run("models", "verify").returncode == 0
    shutil.copytree(model_zoo.model_dir(), tmp_path / "model")
    with (tmp_path / "model" / "weights.safetensors").open("ab") as file:
        file.write(b"x")
    changed = run("models", "verify", tmp_path / "model")
    assert changed.returncode == 6
    assert "sha256" in changed.stderr


def test_a_model_is_shown() -> None:
    manifest = read_manifest(model_zoo.model_dir())
    shown = run("models", "show")
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    for member in manifest.members:
        assert [member.name, member.architecture, str(member.height_px)] in [line[:3] for line in lines]
    for sex, bands in manifest.interval.bands.items():
        own = [line for line in lines if line[:1] == [sex]]
        assert [line[3] for line in own[:-1]] == [f"{band.below_months:.0f}" for band in bands[:-1]]
        assert own[-1][1] == "from"
        assert all(cell.startswith("±") for cell in (line[-1] for line in own))
    as_json = json.loads(run("models", "show", manifest.name, "--json").stdout)
    assert as_json["weights"]["sha256"] == manifest.weights.sha256
    assert run("models", "show", "no-such-model").returncode == 6


def test_echo(tmp_path: Path) -> None:
    with SmallPacs(tmp_path) as pacs:
        answered = run("echo", pacs.destination)
        assert answered.returncode == 0, answered.stderr
    silent = run("echo", pacs.destination)
    assert silent.returncode == 1
    assert silent.stderr.startswith("Error: ")
    assert run("echo", "nonsense").returncode == 2


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--accession", "A\\1"], 2, "none of them a backslash"),
        (["--accession", " "], 2, "1 to 64 characters"),
        (["--study", "x.dcm"], 2, "'x.dcm' is not a UID"),
        ([], 2, "either --accession NUMBER or --study UID"),
        (["--study", "1.2.3"], 1, "The node is not running at 127.0.0.1:"),
    ],
)
def test_fetch_asks_for_one_study_of_a_node_that_runs(flags: list[str], code: int, sentence: str) -> None:
    done = run("fetch", "--from", "PACS@127.0.0.1:104", *flags, listening_port="1")
    assert done.returncode == code
    assert sentence in done.stderr


def test_the_doctor_finds_a_sound_node_well_and_says_what_is_wrong(tmp_path: Path) -> None:
    well = run("doctor", "--data-dir", tmp_path / "data", "--json")
    assert well.returncode == 0, well.stdout
    assert {finding["check"] for finding in json.loads(well.stdout)} >= {
        "settings",
        "spool",
        "database",
        "model",
    }
    ill = run(
        "doctor", "--data-dir", tmp_path / "data", "--json", model="no-such-model", send_to="PACS@127.0.0.1:1"
    )
    assert ill.returncode == 1
    wrong = {finding["check"] for finding in json.loads(ill.stdout) if not finding["ok"]}
    assert wrong == {"model", "destination PACS@127.0.0.1:1"}
    (tmp_path / "node.toml").write_text("prot = 104")
    typo = run("doctor", "--config", tmp_path / "node.toml")
    assert typo.returncode == 1
    assert "port" in typo.stdout


def test_studies_of_an_empty_node(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool").close()
    assert run("studies", "list", "--json", "--data-dir", tmp_path).stdout == ""
    unknown = run("studies", "show", "7", "--data-dir", tmp_path)
    assert unknown.returncode == 1
    assert "studies list" in unknown.stderr


def test_studies_show_both_readings_of_a_patient_of_unknown_sex(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool") as store:
        queue_study(store)
        job = claim_one(store)
        result = Result(
            file="hand.dcm",
            sop_instance_uid=None,
            status=ResultStatus.ASSESSED,
            bone_age_months=100.8,
            bone_age_months_by_sex={"F": 98.2, "M": 103.4},
            interval_months=(79.5, 125.3),
        )
        report = replace(new_report(store, job), result=result)
        store.queue.complete(job, "worker-1", [report])
    listed = run("studies", "list", "--data-dir", tmp_path).stdout
    shown = run("studies", "show", "1", "--data-dir", tmp_path).stdout
    for words in ("8 y 5 mo", "F 8 y 2 mo", "M 8 y 7 mo"):
        assert words in listed
        assert words in " ".join(shown.split())


def test_studies_say_what_was_never_committed_and_ask_again(tmp_path: Path) -> None:
    assert set(COMMITMENT_SENTENCES) == set(CommitmentState)
    with Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool") as store:
        queue_study(store)
        job = claim_one(store)
        report = new_report(store, job, to=["PACS@host:104"])
        store.queue.complete(job, "worker-1", [report])
        (task,) = claim_deliveries(store)
        store.outbox.delivered(task.id, request_commitment=True)
        for uid in ("2.25.1", "2.25.2"):
            store.commitments.claim(task.destination, 1, uid, attempts(1))
    shown = run("studies", "show", "1", "--data-dir", tmp_path).stdout
    assert "Delivery 1 (structured report) to PACS@host:104 is delivered" in shown
    assert COMMITMENT_SENTENCES["unanswered"] in shown
    doctor = run("doctor", "--json", "--data-dir", tmp_path)
    assert doctor.returncode == 1
    assert "1 were never committed" in doctor.stdout
    again = run("studies", "retry", "1", "--data-dir", tmp_path).stdout
    assert "Storage commitment of 1 delivery will be requested again." in again
    assert COMMITMENT_SENTENCES["to_ask"] in run("studies", "show", "1", "--data-dir", tmp_path).stdout


def test_studies_of_a_folder_without_a_node_says_so_and_makes_none(tmp_path: Path) -> None:
    done = run("studies", "list", "--data-dir", tmp_path / "mistyped")
    assert done.returncode == 5
    assert "boneage-node start" in done.stderr
    assert not (tmp_path / "mistyped").exists()


@pytest.fixture
def node_with_three_studies(tmp_path: Path, sample_dicom: Path) -> Path:
    """A data folder with a girl's study, read, a refused one, and a third of the girl's accession number."""
    with Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool") as store:
        for uid, name, accession in (("1.2.1", "girl-08y-dx", "A1"), ("1.2.2", "no-sex-10y-dx", "4711")):
            data = (sample_dicom / f"{name}.dcm").read_bytes()
            receive(store, study=uid, instance=f"{uid}.1", data=data, accession_number=accession)
        store.intake.settle_in([1, 2], 0)
        store.intake.settle()
        jobs = store.queue.claim("worker-1", 2, 60.0, attempts())
        for job, refused in zip(jobs, (False, True), strict=True):
            report = new_report(store, job, f"2.25.{job.id}", "refusal" if refused else "assessment")
            reason = ReasonCode.SEX_UNKNOWN if refused else None
            result = Result("x", None, ResultStatus.REFUSED, reason=reason) if refused else report.result
            store.queue.complete(job, "worker-1", [replace(report, result=result)])
        receive(store, study="1.2.3", instance="1.2.3.1", accession_number="A1")
    return tmp_path


def test_studies_tell_patients_where_asked_and_only_there(node_with_three_studies: Path) -> None:
    of = ("--data-dir", node_with_three_studies)
    for command in (["list"], ["list", "--json"], ["show", "1"], ["show", "1", "--json"]):
        assert "PHANTOM" not in run("studies", *command, *of).stdout
        assert "A1" not in run("studies", *command, *of).stdout
        told = run("studies", *command, "--patient", *of).stdout
        assert "PHANTOM-014" in told
    assert "PHANTOM^GIRL 08Y" in told
    unreadable, *_ = run("studies", "list", "--patient", "--json", *of).stdout.splitlines()
    assert json.loads(unreadable)["patient"] == {"patient_id": "", "patient_name": "", "accession_number": ""}


def test_studies_list_says_why_a_study_was_refused(node_with_three_studies: Path) -> None:
    listed = run("studies", "list", "--state", "refused", "--data-dir", node_with_three_studies).stdout
    row, sentence = listed.splitlines()[1:3]
    assert "sex-unknown" in row
    assert sentence.startswith("sex-unknown: The patient's sex is not known")


def test_studies_are_found_by_accession_number(node_with_three_studies: Path) -> None:
    of = ("--data-dir", node_with_three_studies)
    assert run("studies", "show", "4711", *of).stdout.startswith("Study 2 ")
    several = run("studies", "show", "A1", *of)
    assert several.returncode == 1
    assert "name one of 1, 3" in several.stderr
    found = run("studies", "list", "--accession", "A1", "--json", *of).stdout.splitlines()
    assert [json.loads(line)["id"] for line in found] == [3, 1]
    unknown = run("studies", "show", "A2", *of)
    assert unknown.returncode == 1
    assert "studies list" in unknown.stderr


def wrong(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What the doctor found to be mended, by check."""
    assert done.returncode in (0, 1), done.stderr
    return {one["check"]: one["finding"] for one in json.loads(done.stdout) if not one["ok"]}


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in [folder, *folder.rglob("*")]}


def test_the_doctor_makes_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "boneage.sqlite3").touch()
    with Store.open(f"sqlite:///{tmp_path}/node/boneage.sqlite3", tmp_path / "node" / "spool") as store:
        before = everything_in(tmp_path)
        assert wrong(run("doctor", "--data-dir", tmp_path / "new", "--json")) == {}
        assert list(wrong(run("doctor", "--data-dir", tmp_path / "old", "--json"))) == ["database"]
        queue_study(store)  # what is in the journal alone is seen too
        running = everything_in(tmp_path)
        doctor = run("doctor", "--data-dir", tmp_path / "node", "--json")
        assert "1 studies and 0 reports are waiting" in doctor.stdout
        assert everything_in(tmp_path) == running
    assert set(running) > set(before)
    stopped = everything_in(tmp_path)
    for command in (["doctor", "--json"], ["studies", "list"], ["studies", "show", "1"]):
        assert run(*command, "--data-dir", tmp_path / "node").returncode == 0
    assert everything_in(tmp_path) == stopped


def test_the_doctor_speaks_also_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ill = wrong(run("doctor", "--data-dir", tmp_path / "file" / "data", "--json"))
    assert list(ill) == ["spool"]
    assert "a folder is needed" in ill["spool"]


def test_who_may_not_look_into_the_data_folder_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "another's"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 12345, 12345)
    folder.chmod(0o700 if os.geteuid() == 0 else 0)
    without_rights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    looked = {}
    for command in (["doctor", "--json"], ["studies", "list"], ["start"]):
        program = [*without_rights, *node_process.COMMAND, *command, "--data-dir", str(folder)]
        looked[command[0]] = subprocess.run(
            program, capture_output=True, text=True, env=node_process.environment()
        )
    folder.chmod(0o700)
    assert list(wrong(looked["doctor"])) == ["spool", "database"]
    for command in ("studies", "start"):
        assert looked[command].returncode == 7
        assert "Permission denied" in looked[command].stderr
        assert "Usage" not in looked[command].stderr


def test_a_variable_that_is_no_setting_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool").close()
    misspelt = {"listening_prot": "SECRET"}
    listed = run("studies", "list", "--data-dir", tmp_path, **misspelt)
    assert listed.returncode == 0
    assert "Did you mean BONEAGE_LISTENING_PORT?" in listed.stderr
    started = run("start", "--host", "0.0.0.0", "--log-format", "json", **misspelt)
    warning, ended = map(json.loads, started.stderr.splitlines())
    assert (warning["level"], warning["event"]) == ("warning", "a variable is no setting")
    assert "Did you mean BONEAGE_LISTENING_PORT?" in warning["problem"]
    assert (ended["level"], ended["exit_status"]) == ("critical", 3)
    assert started.returncode == 3
    assert "Did you mean" in wrong(run("doctor", "--json", "--data-dir", tmp_path, **misspelt))["settings"]
    assert "SECRET" not in listed.stderr + started.stderr


@pytest.mark.parametrize("form", ["json", "console"])
def test_why_a_node_cannot_start_is_told_in_the_form_of_the_log(tmp_path: Path, form: str) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'prot = 104\n[logs]\nformat = "{form}"\n')
    for flags, code in (([], 3), (["--config", str(config)], 2)):
        done = run("start", "--host", "0.0.0.0", "--data-dir", tmp_path, *flags, logs_format=form)
        assert done.returncode == code
        if form == "json":
            (line,) = done.stderr.splitlines()
            assert json.loads(line)["exit_status"] == code
        else:
            assert done.stderr.startswith("Error: ")


@pytest.mark.slow
def test_replay_plays_through_a_whole_node_and_keeps_files_of_one_name_apart(
    sample_dicom: Path, tmp_path: Path
) -> None:
    names = ("girl-08y-dx.dcm", "boy-04y-cr-mono1.dcm", "chest-07y-dx.dcm")
    files = [tmp_path / str(number) / "image.dcm" for number in range(3)]
    for file, name in zip(files, names, strict=True):
        file.parent.mkdir()
        shutil.copy(sample_dicom / name, file)
    done = run("replay", *files, "--out", tmp_path / "out", "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert [row["status"] for row in rows] == ["assessed", "assessed", "refused"]
    assert [Path(row["report"]).name for row in rows] == ["image.sr.dcm", "image-2.sr.dcm", "image-3.sr.dcm"]
    studies = [str(dcmread(row["report"]).StudyInstanceUID) for row in rows]
    assert studies == [str(dcmread(sample_dicom / name).StudyInstanceUID) for name in names]
    for row in rows:
        assert Path(row["picture"]).read_bytes().startswith(b"\x89PNG")


def test_replay_shows_a_table_and_reads_unknown_sex_as_both_where_told(
    sample_dicom: Path, tmp_path: Path
) -> None:
    arguments = ("--out", tmp_path / "out", "--device", "cpu", "--sex-unknown", "both")
    own = dcmread(sample_dicom / "girl-08y-dx.dcm")
    own.ManufacturerModelName = "boneage-node"
    own.save_as(tmp_path / "own.dcm")
    done = run("replay", sample_dicom / "no-sex-10y-dx.dcm", tmp_path / "own.dcm", *arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^own.dcm .*nothing-to-read", done.stdout, re.MULTILINE), "which nobody is told"
    assert re.search(
        r"^no-sex-10y-dx.dcm +\? .*^ +F \d+ y.*^ +M \d+ y", done.stdout, re.DOTALL | re.MULTILINE
    )
    (report,) = (tmp_path / "out").glob("*.sr.dcm")
    assert dcmread(report).PatientSex == ""


def test_replay_to_a_running_station_shows_its_answers(sample_dicom: Path, tmp_path: Path) -> None:
    with SmallPacs(tmp_path) as pacs:
        done = run("replay", sample_dicom / "girl-08y-dx.dcm", "--to", pacs.destination, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "0x0000"
    assert len(list(tmp_path.iterdir())) == 1
    gone = run("replay", sample_dicom / "girl-08y-dx.dcm", "--to", pacs.destination, "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout)["error"]


def test_studies_are_tried_sent_and_read_again_by_commands_of_their_own(tmp_path: Path) -> None:
    def studies(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run("studies", *arguments, "--data-dir", tmp_path)

    with Store.open(f"sqlite:///{tmp_path}/boneage.sqlite3", tmp_path / "spool") as store:
        queue_study(store)
        job = claim_one(store)
        store.queue.complete(job, "worker-1", [new_report(store, job, to=["PACS@host:104", "http://x/dw"])])
        pacs, web = sorted(claim_deliveries(store), key=lambda task: task.destination)
        store.outbox.failed(pacs.id, "It is down.", attempts(9, wait_seconds=3600))
        store.outbox.delivered(web.id, warning="It coerced elements.")
    shown = " ".join(studies("show", "1").stdout.split())
    assert "to PACS@host:104 waits for attempt 2, at 20" in shown
    assert "to http://x/dw is delivered, with a warning: It coerced elements." in shown
    assert "next" in studies("list").stdout
    assert studies("retry", "1", "--destination", "http://x/dw/").returncode == 1
    assert "1 delivery will be tried now" in studies("retry", "--destination", "PACS@host:104").stdout
    for nowhere in ("PACS@other", "/folder", "PACS@host:104"):
        assert studies("redirect", "PACS@host:104", nowhere).returncode == 2
    moved = studies("redirect", "PACS@host:104", "PACS@other:104")
    assert "1 document will be sent to PACS@other:104" in moved.stdout
    nowhere = studies("redirect", "PACS@host:104", "PACS@other:104")
    assert nowhere.returncode == 1
    assert "Reports wait for PACS@other:104." in nowhere.stderr
    doctor = run("doctor", "--json", "--data-dir", tmp_path)
    assert "some for PACS@other:104, which the settings do not name" in doctor.stdout
    nothing = studies("retry", "--all")
    assert nothing.returncode == 1
    assert "studies resend" in nothing.stderr
    assert studies("retry").returncode == studies("retry", "1", "--all").returncode == 2
    assert studies("resend", "1", "--destination", "PACS@host:104").returncode == 1
    assert "1 document will be sent again" in studies("resend", "1").stdout
    assert studies("reread", "1").returncode == 0
    assert studies("reread", "1").returncode == 1
    assert "Image 1" in studies("show", "1").stdout
    assert studies("leave-out", "1", "2").returncode == 1
    assert studies("leave-out", "1", "1").returncode == 0
    assert "instance-left-out" in studies("show", "1").stdout
