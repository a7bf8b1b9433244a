"""For tests of TLS: authorities, and certificates that they sign, as files."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from boneage_node.net.tls import TlsFiles

HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, and the authority that signed it, as PEM files."""

    certificate: Path
    key: Path
    ca: Path

    @property
    def files(self) -> TlsFiles:
        """As the node takes them; peers need a certificate of the same authority."""
        return TlsFiles(certificate=self.certificate, key=self.key, ca=self.ca)


class Authority:
    """A certificate authority that keeps what it makes in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"Authority {folder.name}")
        self.certificate = folder / "ca.pem"
        usage = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate.write_bytes(
            _pem(
                _builder(self._name, self._name, self._key, valid_days=(-1000, 1000))
                .add_extension(usage, critical=True)
                .sign(self._key, hashes.SHA256())
            )
        )

    def sign(
        self,
        name: str,
        hosts: tuple[str, ...] = HOSTS,
        valid_days: tuple[float, float] = (-1, 30),
        passphrase: bytes | None = None,
        rsa_bits: int | None = None,
    ) -> Signed:
        """Make a key and a certificate for hosts, valid between so many days from now."""
        key = (
            rsa.generate_private_key(65537, rsa_bits) if rsa_bits else ec.generate_private_key(ec.SECP256R1())
        )
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = (
            _builder(_name(name), self._name, key, valid_days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        signed = Signed(self._folder / f"{name}.pem", self._folder / f"{name}.key", self.certificate)
        signed.certificate.write_bytes(_pem(certificate))
        signed.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(passphrase)
                if passphrase
                else serialization.NoEncryption(),
            )
        )
        return signed


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the stations of a hospital know."""
    return Authority(tmp_path_factory.mktemp("tls") / "hospital")


def orthanc_tls(station: Signed, port: int, *, mutual: bool) -> dict[str, Any]:
    """Orthanc's configuration for TLS with a node on a port."""
    modality = {"AET": "BONEAGE", "Host": "127.0.0.1", "Port": port, "UseDicomTls": True}
    return {
        "DicomModalities": {"node": modality},
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(station.certificate),
        "DicomTlsPrivateKey": str(station.key),
        "DicomTlsTrustedCertificates": str(station.ca),
        "DicomTlsRemoteCertificateRequired": mutual,
    }


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    valid_days: tuple[float, float],
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=valid_days[0]))
        .not_valid_after(now + timedelta(days=valid_days[1]))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
