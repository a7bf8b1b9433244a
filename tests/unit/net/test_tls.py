"""Certificates, keys and authorities: what is wrong with the files is said before anything is started."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from support.tls import Authority, Signed

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.tls import TlsFiles, calling_context, check_files, days_left, listening_context


@pytest.fixture(scope="module")
def node(authority: Authority) -> Signed:
    return authority.sign("node")


def problem(files: TlsFiles) -> str:
    with pytest.raises(NodeError) as caught:
        check_files(files)
    assert caught.value.code is ExitCode.TLS
    for open_context in (listening_context, calling_context):
        with pytest.raises(NodeError) as again:
            open_context(files)
        assert str(again.value) == str(caught.value)
    return str(caught.value)


def test_sound_files_make_contexts_of_bcp_195(node: Signed) -> None:
    check_files(node.files)
    assert days_left(node.files) == 29
    listening, calling = listening_context(node.files), calling_context(node.files)
    assert listening is not None
    assert (listening.verify_mode, calling.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_REQUIRED)
    assert calling.check_hostname
    for context in (listening, calling):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert all(cipher["aead"] for cipher in context.get_ciphers())
        older = [cipher for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
        assert {cipher["kea"] for cipher in older} == {"kx-ecdhe"}


def test_nothing_set_is_no_tls_and_the_authorities_of_the_system() -> None:
    assert listening_context(TlsFiles()) is None
    assert days_left(TlsFiles()) is None
    assert calling_context(TlsFiles()).check_hostname


def test_callers_need_no_certificate_where_no_authority_is_named(node: Signed) -> None:
    listening = listening_context(node.files.model_copy(update={"ca": None}))
    assert listening is not None
    assert listening.verify_mode == ssl.CERT_NONE


def test_half_a_pair_is_told_what_is_missing(node: Signed) -> None:
    assert "set tls.key too" in problem(TlsFiles(certificate=node.certificate))
    assert "set tls.certificate too" in problem(TlsFiles(key=node.key))


@pytest.mark.parametrize("setting", ["certificate", "key", "ca"])
def test_a_file_that_is_not_there_or_no_pem_is_named(node: Signed, tmp_path: Path, setting: str) -> None:
    gone = problem(node.files.model_copy(update={setting: tmp_path / "gone.pem"}))
    assert gone == f"{tmp_path / 'gone.pem'} (tls.{setting}) cannot be read: No such file or directory."
    (tmp_path / "text.pem").write_text("no PEM")
    assert str(tmp_path / "text.pem") in problem(
        node.files.model_copy(update={setting: tmp_path / "text.pem"})
    )


def test_a_key_of_another_certificate_is_refused(authority: Authority, node: Signed) -> None:
    other = authority.sign("other")
    assert "does not belong to the certificate" in problem(node.files.model_copy(update={"key": other.key}))
    of_another_kind = authority.sign("rsa", rsa_bits=2048)
    assert "does not belong to the certificate" in problem(
        node.files.model_copy(update={"key": of_another_kind.key})
    )


def test_a_key_with_a_passphrase_is_refused_without_asking(authority: Authority) -> None:
    assert "has a passphrase" in problem(authority.sign("locked", passphrase=b"secret").files)


def test_a_weak_key_is_refused(authority: Authority) -> None:
    assert "of at least 2048 bits" in problem(authority.sign("weak", rsa_bits=1024).files)


def test_an_expired_certificate_is_refused_and_so_is_one_of_tomorrow(authority: Authority) -> None:
    expired = authority.sign("expired", valid_days=(-30, -1))
    assert "expired on " in problem(expired.files)
    assert days_left(expired.files) == -2
    assert "not yet" in problem(authority.sign("tomorrow", valid_days=(1, 30)).files)
