"""DICOM over TLS with DCMTK and Orthanc at the other end, and what a sender is told when it fails."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from support.dcmtk import Archive, Run
from support.dimse import ABORT, Watched, associate_accept, data_set_bytes, receiving, write_radiograph
from support.orthanc_peer import Orthanc
from support.ports import free_port
from support.tls import Authority, Signed, orthanc_tls

from boneage_node.dimse.store_scp import Receiver
from boneage_node.dimse.store_scu import echo, send
from boneage_node.net.addresses import Station
from boneage_node.net.calling import Caller, Waits
from boneage_node.net.tls import TlsFiles, listening_context
from boneage_node.traffic.file import LocalFile
from boneage_node.traffic.outcome import Unreachable


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    """A station with a certificate of an authority that nobody here knows."""
    return Authority(tmp_path_factory.mktemp("tls") / "elsewhere").sign("stranger")


@pytest.fixture(scope="module")
def node(authority: Authority) -> Signed:
    return authority.sign("node")


@pytest.fixture(scope="module")
def pacs(authority: Authority) -> Signed:
    return authority.sign("pacs")


@contextmanager
def secure_node(folder: Path, files: TlsFiles, **settings: Any) -> Iterator[tuple[Receiver, Watched]]:
    """A receiver that speaks TLS."""
    with receiving(folder, tls=listening_context(files), **settings) as running:
        yield running


@contextmanager
def archive(storescp: Archive, folder: Path, station: Signed) -> Iterator[Station]:
    """DCMTK's storage SCP over TLS, which wants a certificate of the same authority."""
    folder.mkdir()
    with storescp(*as_dcmtk(station), "-od", folder) as port:
        yield Station("STORESCP", "127.0.0.1", port, tls=True)


def as_dcmtk(station: Signed) -> list[Path | str]:
    return ["+tls", station.key, station.certificate, "+cf", station.ca]


def problem(destination: Station, tls: TlsFiles, connect_seconds: float = 30.0) -> str:
    with pytest.raises(Unreachable) as caught:
        echo(destination, Caller("BONEAGE", tls, Waits(connect_seconds=connect_seconds)))
    return str(caught.value)


def test_dcmtk_sends_over_tls(tmp_path: Path, dcmtk: Run, node: Signed, pacs: Signed) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(3)]
    for file in files:
        write_radiograph(file, PixelData=bytes(2**20), Rows=1024, Columns=512)
    with secure_node(tmp_path, node.files) as (receiver, sink):
        address = ("-aec", "BONEAGE", "127.0.0.1", receiver.port)
        echoed = dcmtk("echoscu", *as_dcmtk(pacs), *address)
        assert echoed.returncode == 0, echoed.stderr
        sent = dcmtk("storescu", "-v", *as_dcmtk(pacs), "-R", *address, *files)
        assert sent.returncode == 0, sent.stderr
        assert {data_set_bytes(file) for file in sink.files()} == {data_set_bytes(file) for file in files}


def test_a_caller_must_show_a_certificate_of_the_authority(
    tmp_path: Path, dcmtk: Run, node: Signed, stranger: Signed
) -> None:
    with secure_node(tmp_path, node.files) as (receiver, sink):
        address = ("-aec", "BONEAGE", "127.0.0.1", receiver.port)
        anonymous = ["+tla", "+cf", node.ca]
        unknown = ["+tls", stranger.key, stranger.certificate, "+cf", node.ca]
        for options in ([], anonymous, unknown):
            assert dcmtk("echoscu", *options, *address).returncode != 0
    (tmp_path / "open").mkdir()
    with secure_node(tmp_path / "open", node.files.model_copy(update={"ca": None})) as (receiver, sink):
        address = ("-aec", "BONEAGE", "127.0.0.1", receiver.port)
        for options in (anonymous, unknown):
            assert dcmtk("echoscu", *options, *address).returncode == 0
        assert sink.accepted == []


def test_a_caller_that_does_not_know_our_authority_goes_away(
    tmp_path: Path, dcmtk: Run, node: Signed, stranger: Signed, capfd: pytest.CaptureFixture[str]
) -> None:
    with secure_node(tmp_path, node.files.model_copy(update={"ca": None})) as (receiver, _):
        refused = dcmtk("echoscu", *as_dcmtk(stranger), "-aec", "BONEAGE", "127.0.0.1", receiver.port)
        assert refused.returncode != 0
        assert "certificate verify failed" in refused.stderr
        assert echo(_of(receiver), Caller("BONEAGE", TlsFiles(ca=node.ca))) > 0
    assert "alert unknown ca" in capfd.readouterr().out


def test_dcmtk_takes_over_tls(tmp_path: Path, storescp: Archive, node: Signed, pacs: Signed) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(3)]
    for file in files:
        write_radiograph(file, PixelData=bytes(2**20), Rows=1024, Columns=512)
    with archive(storescp, tmp_path / "received", pacs) as destination:
        assert echo(destination, Caller("BONEAGE", node.files)) > 0
        sent = list(send(destination, map(LocalFile, files), Caller("BONEAGE", node.files)))
        assert [one.error for one in sent] == [None] * 3
    assert len(list((tmp_path / "received").iterdir())) == 3


def test_what_is_wrong_with_dcmtk_or_with_us_is_told(
    tmp_path: Path, storescp: Archive, node: Signed, pacs: Signed, stranger: Signed
) -> None:
    with archive(storescp, tmp_path / "received", pacs) as destination:
        address = destination.address
        assert problem(destination, TlsFiles(ca=pacs.ca)) == (
            f"{address} wants a certificate of this node: set tls.certificate and tls.key."
        )
        assert f"{address} does not accept this node's certificate" in problem(
            destination, stranger.files.model_copy(update={"ca": pacs.ca})
        )
        assert problem(destination, stranger.files) == (
            f"The certificate of {address} is signed by an authority that is not in {stranger.ca} (tls.ca): "
            "add it there."
        )
        assert problem(destination, TlsFiles()) == (
            f"The certificate of {address} is signed by an authority that this system does not know: "
            "name its file with tls.ca."
        )
        assert "whether it speaks TLS" in problem(replace(destination, tls=False), TlsFiles())
        assert echo(destination, Caller("BONEAGE", node.files)) > 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_missing_or_unknown_certificate_is_told_in_either_version(
    tmp_path: Path, node: Signed, stranger: Signed, version: ssl.TLSVersion
) -> None:
    context = listening_context(node.files)
    assert context is not None
    context.maximum_version = context.minimum_version = version
    with receiving(tmp_path, tls=context) as (receiver, _):
        destination = _of(receiver)
        wanted = problem(destination, TlsFiles(ca=node.ca))
        assert wanted.endswith("wants a certificate of this node: set tls.certificate and tls.key.")
        refused = problem(destination, stranger.files.model_copy(update={"ca": node.ca}))
        assert "does not accept this node's certificate (tlsv1 alert unknown ca)" in refused
        assert echo(destination, Caller("PEER", node.files)) > 0


def test_a_certificate_that_is_expired_or_of_another_host_is_told(
    tmp_path: Path, authority: Authority, node: Signed
) -> None:
    expired = authority.sign("expired", valid_days=(-30, -1))
    elsewhere = authority.sign("elsewhere", hosts=("pacs.example", "192.0.2.7"))
    assert "has expired: have it renewed there." in _met(tmp_path / "1", expired, node)
    assert "is not made out for 127.0.0.1:" in _met(tmp_path / "2", elsewhere, node)


def test_an_old_tls_is_told(tmp_path: Path, node: Signed) -> None:
    context = listening_context(node.files.model_copy(update={"ca": None}))
    assert context is not None
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with receiving(tmp_path, tls=context) as (receiver, _):
        assert "speaks only TLS older than 1.2" in problem(_of(receiver), node.files)


def test_a_peer_without_tls_is_told(tmp_path: Path, node: Signed) -> None:
    with receiving(tmp_path) as (receiver, _):
        assert "does not answer as TLS" in problem(_of(receiver), node.files)
        assert echo(replace(_of(receiver), tls=False), Caller("PEER")) > 0
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        silent = Station("PEER", "127.0.0.1", mute.getsockname()[1], tls=True)
        assert "does not answer as TLS" in problem(silent, node.files, connect_seconds=1.0)
    gone = replace(silent, port=free_port())
    assert problem(gone, node.files).startswith(f"Nothing listens on {gone.address}")


def test_files_that_will_not_do_are_told_for_each_report(tmp_path: Path, node: Signed) -> None:
    file = tmp_path / "image.dcm"
    write_radiograph(file)
    files = node.files.model_copy(update={"ca": tmp_path / "gone.pem"})
    (sent,) = send(Station("PACS", "127.0.0.1", 1, tls=True), [LocalFile(file)], Caller("BONEAGE", files))
    assert sent.error == f"{tmp_path / 'gone.pem'} (tls.ca) cannot be read: No such file or directory."
    assert not sent.permanent


def test_half_a_record_does_not_keep_the_request_back(node: Signed, pacs: Signed) -> None:
    """The socket is readable, and no byte of a PDU is there: the sender says what it has to say."""
    context = listening_context(pacs.files)
    assert context is not None
    said = bytearray()

    def answer(listener: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        caller, _ = listener.accept()

        def after(step: Callable[[], Any]) -> Any:
            while True:
                with suppress(ssl.SSLWantReadError):
                    return step()
                caller.sendall(outgoing.read())
                incoming.write(caller.recv(65536))

        with caller:
            after(tls.do_handshake)
            after(lambda: tls.read(65536))
            tls.write(associate_accept())
            accept = outgoing.read()
            tls.write(ABORT)
            abort = outgoing.read()
            caller.sendall(accept + abort[:10])
            said.extend(after(lambda: tls.read(65536)))
            caller.sendall(abort[10:])
            caller.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        destination = Station("PEER", "127.0.0.1", listener.getsockname()[1], tls=True)
        assert "did not answer the C-ECHO" in problem(destination, node.files)
        thread.join(30)
    assert said[:1] == b"\x04", "it sent a message before the rest of the record came"


def test_orthanc_sends_over_tls_and_takes_over_tls(
    tmp_path: Path, orthanc_program: str, node: Signed, pacs: Signed
) -> None:
    file = tmp_path / "image.dcm"
    image = write_radiograph(file, PixelData=bytes(2**20), Rows=1024, Columns=512)
    with (
        secure_node(tmp_path, node.files) as (receiver, sink),
        Orthanc(
            orthanc_program, tmp_path / "orthanc", **orthanc_tls(pacs, receiver.port, mutual=True)
        ) as peer,
    ):
        peer.store("node", [peer.upload(file)])
        (kept,) = sink.files()
        peer.delete_all()
        destination = Station.parse(f"{peer.destination}/tls")
        (sent,) = send(destination, [LocalFile(kept)], Caller("BONEAGE", node.files))
        assert sent.error is None
        assert peer.find(image.SOPInstanceUID) is not None
        assert problem(destination, TlsFiles(ca=pacs.ca)).endswith("set tls.certificate and tls.key.")


def test_orthanc_of_another_authority_neither_sends_nor_takes(
    tmp_path: Path, orthanc_program: str, node: Signed, stranger: Signed
) -> None:
    file = tmp_path / "image.dcm"
    write_radiograph(file)
    with (
        secure_node(tmp_path, node.files) as (receiver, sink),
        Orthanc(
            orthanc_program, tmp_path / "orthanc", **orthanc_tls(stranger, receiver.port, mutual=False)
        ) as peer,
    ):
        identifier = peer.upload(file)
        with pytest.raises(HTTPError):
            peer.store("node", [identifier])
        assert sink.files() == []
        destination = Station.parse(f"{peer.destination}/tls")
        assert "is signed by an authority that is not in" in problem(destination, node.files)


def _of(receiver: Receiver) -> Station:
    return Station("BONEAGE", "127.0.0.1", receiver.port, tls=True)


def _met(folder: Path, station: Signed, node: Signed) -> str:
    """What the node says of a station with such a certificate."""
    folder.mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(station.certificate, station.key)
    with receiving(folder, tls=context) as (receiver, _):
        return problem(_of(receiver), node.files)
