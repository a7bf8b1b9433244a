"""TLS: the node's certificate, key and authorities, checked as files and made into contexts.

The versions and cipher suites are those of BCP 195 (RFC 8996, RFC 9325), as DICOM PS3.15 B.12 asks for: TLS
1.2 with forward secrecy and authenticated encryption, or TLS 1.3.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from boneage_node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

RENEW_DAYS = 14
"""A certificate with fewer days left is to be renewed: the doctor and the log of a start say so."""
CIPHERS_OF_TLS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"


File = Annotated[
    Path,
    AfterValidator(lambda path: path.expanduser().absolute()),
    WithJsonSchema({"type": "string", "format": "file-path"}),
]


class TlsFiles(BaseModel, frozen=True, extra="forbid"):
    """Where the certificates of TLS are, and which to trust (docs/tls.md)."""

    certificate: File | None = Field(
        None,
        description="PEM file with the node's certificate (and those of intermediate authorities). Set: the "
        "port speaks TLS only, and the certificate is shown to destinations that ask for one.",
        json_schema_extra={
            "flag": "--tls-certificate",
            "help": "Certificate (PEM). With it, the port speaks TLS only.",
        },
    )
    key: File | None = Field(
        None,
        description="PEM file with the private key of `certificate`, without a passphrase.",
        json_schema_extra={"flag": "--tls-key", "help": "Private key of the certificate (PEM)."},
    )
    ca: File | None = Field(
        None,
        description="PEM file with the certificates of the authorities that vouch for peers. Set: callers "
        "must show a certificate of theirs to a node with `certificate`, `/tls` destinations are verified "
        "against them, and `https` destinations against them or those of the system. Not set: callers "
        "need none, and those of the system vouch for destinations.",
        json_schema_extra={
            "flag": "--tls-ca",
            "help": "Authorities (PEM) that must vouch for peers, callers too.",
        },
    )


def listening_context(files: TlsFiles) -> ssl.SSLContext | None:
    """Make the context for listening: callers must show a certificate where `TlsFiles.ca` is set.

    Returns:
        None where no certificate is set, hence no TLS.

    Raises:
        NodeError: A file is not there or will not do.
    """
    check_files(files)
    if files.certificate is None:
        return None
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    # Nobody resumes a DICOM session, and who hangs up with a ticket unread resets the connection.
    context.num_tickets = 0
    _load_own(context, files)
    if files.ca is not None:
        _load_authorities(context, files.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def calling_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context for connecting: the peer's certificate and host name are verified.

    Raises:
        NodeError: A file is not there or will not do.
    """
    check_files(files)
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    _load_own(context, files)
    if files.ca is not None:
        _load_authorities(context, files.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def web_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context for HTTPS: as `calling_context`, but trusting the system's authorities besides `ca`.

    Web servers, other than DICOM stations, often have certificates of public authorities.

    Raises:
        NodeError: A file is not there or will not do.
    """
    check_files(files)
    context = ssl.create_default_context()
    _load_own(context, files)
    if files.ca is not None:
        _load_authorities(context, files.ca)
    return context


def check_files(files: TlsFiles) -> None:
    """Look whether the files are there, can be read, hold certificates, and are valid today.

    Raises:
        NodeError: With the first problem, and how to mend it.
    """
    if (files.certificate is None) != (files.key is None):
        missing = "tls.key" if files.key is None else "tls.certificate"
        _fail(f"tls.certificate and tls.key go together: set {missing} too.")
    if files.certificate is not None:
        own = _certificates("tls.certificate", files.certificate)[0]
        _check_validity("tls.certificate", files.certificate, own)
    if files.ca is not None:
        newest = max(_certificates("tls.ca", files.ca), key=lambda authority: authority.not_valid_after_utc)
        _check_validity("tls.ca", files.ca, newest)
    _load_own(_context(ssl.PROTOCOL_TLS_SERVER), files)


def days_left(files: TlsFiles) -> int | None:
    """Whole days until the node's certificate expires, negative afterwards; None where there is none.

    Raises:
        NodeError: The certificate cannot be read.
    """
    if files.certificate is None:
        return None
    certificate = _certificates("tls.certificate", files.certificate)[0]
    return (certificate.not_valid_after_utc - datetime.now(UTC)).days


def handshake_problem(error: OSError) -> str:
    """Name the cause of a failed handshake in OpenSSL's words, for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or type(error).__name__).lower().replace("_", " ")


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_OF_TLS_1_2)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def _load_own(context: ssl.SSLContext, files: TlsFiles) -> None:
    if files.certificate is None or files.key is None:
        return
    _read("tls.key", files.key)  # OpenSSL does not say which of the two files it cannot read
    key = files.key

    def no_passphrase() -> str:
        _fail(
            f"The key {key} (tls.key) has a passphrase. Store it without: openssl pkey -in KEY -out NEW_KEY"
        )

    try:
        context.load_cert_chain(files.certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            _fail(
                f"The key {key} (tls.key) does not belong to the certificate {files.certificate} "
                "(tls.certificate): name the key that it was made with."
            )
        reason = f" (OpenSSL says: {handshake_problem(error)})" if error.reason else ""
        _fail(
            f"The certificate {files.certificate} and the key {key} cannot be used for TLS{reason}: both are "
            "PEM files, the key of at least 2048 bits (RSA) or 256 bits (EC)."
        )


def _load_authorities(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        _fail(f"The certificates in {ca} (tls.ca) cannot be used: {handshake_problem(error)}.")


def _certificates(setting: str, file: Path) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates  # here, so that commands without TLS start fast

    try:
        return load_pem_x509_certificates(_read(setting, file))
    except ValueError:
        _fail(f"{file} ({setting}) holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).")


def _check_validity(setting: str, file: Path, certificate: Certificate) -> None:
    now = datetime.now(UTC)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if last < now:
        _fail(f"The certificate {file} ({setting}) expired on {last:%Y-%m-%d}: have it renewed.")
    if first > now:
        _fail(
            f"The certificate {file} ({setting}) is valid from {first:%Y-%m-%d %H:%M} UTC on, not yet: "
            "look at the clock of this machine, or of the one that made it."
        )


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        _fail(f"{file} ({setting}) cannot be read: {error.strerror}.")


def _fail(sentence: str) -> NoReturn:
    raise NodeError(ExitCode.TLS, sentence)
