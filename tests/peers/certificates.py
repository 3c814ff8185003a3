"""Authorities and certificates for tests, as PEM files."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """Files of one key and its certificate, and the authority that signed it."""

    chain: Path
    key: Path
    ca: Path
    serial_number: int


class Authority:
    """A certification authority with a key of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = _new_key()
        self.ca = folder / f"{name}.pem"
        builder = _builder(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        _write(self.ca, builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def certificate(self, name: str, valid_days: int = 30) -> Certificate:
        """A certificate for 127.0.0.1 and localhost; with negative days it has expired."""
        key = _new_key()
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        signed = (
            _builder(_named(name), self._name, key, valid_days)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        files = Certificate(
            self._folder / f"{name}.crt",
            self._folder / f"{name}.key",
            self.ca,
            signed.serial_number,
        )
        _write(files.chain, signed.public_bytes(_PEM))
        _write(
            files.key,
            key.private_bytes(
                _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return files

    def revokes(self, *certificates: Certificate, valid_days: int = 30) -> bytes:
        """Its revocation list with these certificates, in PEM."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - 60 * _DAY)
            .next_update(now + valid_days * _DAY)
        )
        for each in certificates:
            revoked = x509.RevokedCertificateBuilder().serial_number(each.serial_number)
            builder = builder.add_revoked_certificate(revoked.revocation_date(now - _DAY).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)


def client_context(ca: Path, own: Certificate | None = None) -> ssl.SSLContext:
    """TLS for a client that trusts `ca` and shows `own`."""
    context = ssl.create_default_context(cafile=str(ca))
    if own is not None:
        context.load_cert_chain(own.chain, own.key)
    return context


_PEM = serialization.Encoding.PEM


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, valid_days: int = 30
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * _DAY)
        .not_valid_after(now + valid_days * _DAY)
    )


def _write(path: Path, content: bytes) -> None:
    """Replace in one step, as a secret store does."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(content)
    new.replace(path)
