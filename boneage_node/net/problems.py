"""Why a TLS connection to a peer failed, in a sentence that says what to mend."""

from __future__ import annotations

import ssl

from .addresses import Station
from .tls import TlsFiles, handshake_problem

# Verification results of OpenSSL (openssl-verification-options(1)).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_WRONG_HOST = (62, 64)
# Alerts of the peer (RFC 8446, 6.2), as OpenSSL names them.
_WANTS_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE")
_REFUSES_CERTIFICATE = (
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_ALERT_DECRYPT_ERROR",
)
_NO_TLS = ("", "WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")
"""Silence, the end of the connection, or something else than TLS."""
_OLD_VERSION = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL")


def tls_problem(destination: Station, files: TlsFiles, error: OSError) -> str:
    """Explain why TLS with a peer failed.

    Args:
        destination: The peer.
        files: The certificates that were used.
        error: What was raised in the handshake, or after it.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _peer_certificate_problem(destination, files, error)
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    address = destination.address
    if reason in _WANTS_CERTIFICATE and files.certificate is None:
        return f"{address} wants a certificate of this node: set tls.certificate and tls.key."
    if reason in _REFUSES_CERTIFICATE or reason in _WANTS_CERTIFICATE:
        return (
            f"{address} does not accept this node's certificate ({handshake_problem(error)}): have it, or "
            "the authority that signed it, trusted there."
        )
    if reason in _OLD_VERSION:
        return f"{address} speaks only TLS older than 1.2, which is not safe: have it updated."
    if reason in _NO_TLS:
        return (
            f"{address} takes the connection but does not answer as TLS: check that this is the station's "
            "TLS port, or leave out /tls where it has none; and look into its log."
        )
    return f"{address} cannot be spoken with over TLS: {handshake_problem(error)}."


def _peer_certificate_problem(
    destination: Station, files: TlsFiles, error: ssl.SSLCertVerificationError
) -> str:
    whose = f"The certificate of {destination.address}"
    if error.verify_code == _EXPIRED:
        return f"{whose}, or of its authority, has expired: have it renewed there."
    if error.verify_code == _NOT_YET_VALID:
        return f"{whose} is not valid yet: look at the clock of this machine, and there."
    if error.verify_code in _WRONG_HOST:
        return (
            f"{whose} is not made out for {destination.host}: write the name that is in the certificate into "
            "the destination, or have one made with this name (subject alternative name)."
        )
    if error.verify_code in _UNKNOWN_ISSUER:
        if files.ca is not None:
            return f"{whose} is signed by an authority that is not in {files.ca} (tls.ca): add it there."
        return f"{whose} is signed by an authority that this system does not know: name its file with tls.ca."
    return f"{whose} cannot be verified: {error.verify_message}."
