"""Reports to DCMTK's storage SCP where it is slow, aborts, or takes not all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage
from support.dcmtk import Archive
from support.dimse import write_radiograph

from boneage_node.exchange.c_store import CStore
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller, Waits
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable

CALLER = Caller("BONEAGE")
CLASSES = (ComprehensiveSRStorage, SecondaryCaptureImageStorage)

PROFILE = """
[[TransferSyntaxes]]
[Uncompressed]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Some]
{contexts}
[[Profiles]]
[Default]
PresentationContexts = Some
"""


@contextmanager
def pacs(storescp: Archive, folder: Path, *options: object, only: tuple[str, ...] = ()) -> Iterator[CStore]:
    """A storage SCP with some options, which takes some SOP classes alone."""
    if only:
        contexts = [f"PresentationContext{n} = {name}\\Uncompressed" for n, name in enumerate(only, 1)]
        profile = folder / "storescp.cfg"
        profile.write_text(PROFILE.format(contexts="\n".join(contexts)))
        options = (*options, "-xf", profile, "Default")
    (folder / "received").mkdir(exist_ok=True)
    with storescp("-od", folder / "received", *options) as port:
        yield CStore(Station("STORESCP", "127.0.0.1", port))


@pytest.fixture
def documents(tmp_path: Path) -> list[LocalFile]:
    """What stands for a structured report, and for a picture."""
    files = [LocalFile(tmp_path / name) for name in ("sr.dcm", "picture.dcm")]
    for file, sop_class in zip(files, CLASSES, strict=True):
        write_radiograph(file.path, SOPClassUID=sop_class)
    return files


def received(folder: Path) -> list[str]:
    """The kinds of what has arrived, as storescp names its files."""
    return sorted(path.name.partition(".")[0] for path in (folder / "received").iterdir())


def test_an_answer_counts_that_comes_within_the_wait_of_the_settings(
    tmp_path: Path, storescp: Archive, documents: list[LocalFile]
) -> None:
    with pacs(storescp, tmp_path, "--sleep-during", 1) as destination:
        hurried = Caller("BONEAGE", waits=Waits(answer_seconds=0.5))
        (given_up,) = destination.send(documents[:1], hurried)
        assert given_up.error == f"{destination} did not answer within 0.5 s (waits.answer_seconds)."
        assert not given_up.permanent
        (sent,) = destination.send(documents[:1], CALLER)
        assert sent.delivered
    assert received(tmp_path) == ["SRc"]  # twice the same object


def test_an_abort_is_trouble_of_that_file(
    tmp_path: Path, storescp: Archive, documents: list[LocalFile]
) -> None:
    with pacs(storescp, tmp_path, "--abort-after") as destination:
        sent = list(destination.send(documents, CALLER))
    assert [one.permanent for one in sent] == [False, False]
    assert all("ended the association instead of answering" in str(one.error) for one in sent)


def test_one_class_that_is_not_taken_fails_for_good_and_is_told_beforehand(
    tmp_path: Path, storescp: Archive, documents: list[LocalFile]
) -> None:
    taken = ("VerificationSOPClass", "SecondaryCaptureImageStorage")
    with pacs(storescp, tmp_path, only=taken) as destination:
        with pytest.raises(Unreachable, match="answers C-ECHO, but takes no Comprehensive SR Storage: allow"):
            destination.probe(CALLER, CLASSES)
        for file, delivered in zip(documents, (False, True), strict=True):  # each form by itself
            (sent,) = destination.send([file], CALLER)
            assert (sent.delivered, sent.permanent) == (delivered, not delivered)
    assert received(tmp_path) == ["SC"]


def test_no_storage_at_all_may_pass_and_is_told_beforehand(
    tmp_path: Path, storescp: Archive, documents: list[LocalFile]
) -> None:
    with pacs(storescp, tmp_path, only=("VerificationSOPClass",)) as destination:
        sent = list(destination.send(documents, CALLER))
        assert destination.probe(CALLER).startswith("answers C-ECHO")
        with pytest.raises(Unreachable, match="no object at all"):
            destination.probe(CALLER, CLASSES)
    assert not any(one.delivered or one.permanent for one in sent)


def test_a_station_that_takes_all_is_said_to(tmp_path: Path, storescp: Archive) -> None:
    with pacs(storescp, tmp_path) as destination:
        said = destination.probe(CALLER, CLASSES)
    assert said.endswith("and takes Comprehensive SR Storage, Secondary Capture Image Storage")
    assert received(tmp_path) == []
