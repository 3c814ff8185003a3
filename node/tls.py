"""TLS of the DICOM listener and of the node's own calls, after BCP 195 (RFC 9325; PS3.15 B.12).

TLS 1.2 with forward secrecy and authenticated encryption, TLS 1.3, nothing older. Certificates are
looked at again for every handshake and read anew when a file has changed, so that a renewed
certificate needs no restart and drops no association. A revocation list beside the authorities of
either side is heeded.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

from node.errors import ConfigurationError
from node.logs import log
from node.peers import Peer
from node.settings import Settings
from node.stamps import Stamp, stamp

# RFC 9325 section 4.2: recommended suites of TLS 1.2; those of TLS 1.3 are all sound.
_TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerTls:
    """The listener's TLS context in force."""

    def __init__(self, settings: Settings) -> None:
        """Read the certificate once. Raises ConfigurationError."""
        self._certificate = _required(settings.dicom_tls_certificate, "DICOM_TLS_CERTIFICATE")
        self._key = _required(settings.dicom_tls_key, "DICOM_TLS_KEY")
        self._client_ca = settings.dicom_tls_client_ca
        self._lock = threading.Lock()
        self._seen = self._tried = self._stamps()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake; the last good one while files are being replaced."""
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._renew(stamps)
            return self._context

    def _renew(self, stamps: tuple[Stamp, ...]) -> None:
        try:
            self._context = self._read()
            self._seen = stamps
            log.info("TLS certificate renewed")
        except ConfigurationError as error:
            # Certificate and key are replaced one after the other; the next handshake looks again.
            if stamps != self._tried:
                log.warning(
                    "TLS certificate not renewed, the last one stays in force",
                    extra={"reason": str(error)},
                )
        self._tried = stamps

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _restrict(context)
        try:
            context.load_cert_chain(self._certificate, self._key, _no_passphrase)
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
                _heed_revocations(context)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"TLS: certificate, key or client CA cannot be read ({error}); see "
                "SENTINODE_DICOM_TLS_CERTIFICATE, _KEY and _CLIENT_CA"
            ) from error
        return context

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(stamp(path) for path in (self._certificate, self._key, self._client_ca))


def client_context(settings: Settings, peer: Peer) -> ssl.SSLContext:
    """TLS for a call to `peer`, with the node's certificate if it has one.

    Raises ConfigurationError.
    """
    own = (settings.dicom_tls_certificate, settings.dicom_tls_key)
    if peer.certificate_file is not None:
        own = (peer.certificate_file, peer.key_file)
    return verifying_context(peer.ca_file, *own, to=peer.ae_title)


def verifying_context(
    ca_file: Path | None, certificate: Path | None, key: Path | None, to: str
) -> ssl.SSLContext:
    """TLS for a client that verifies the server, by `ca_file` or the system's authorities.

    certificate, key: what is shown to a server that asks. Raises ConfigurationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context)
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
            _heed_revocations(context)
        if certificate is not None:
            context.load_cert_chain(certificate, key, _no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"TLS to {to}: certificate, key or authority cannot be read ({error})"
        ) from error
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS_1_2_SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def _heed_revocations(context: ssl.SSLContext) -> None:
    """Where lists stand beside the authorities; without any OpenSSL would refuse everybody."""
    if context.cert_store_stats()["crl"]:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _no_passphrase() -> str:
    """Called for an encrypted key only: else OpenSSL asks at a terminal, and everybody waits."""
    raise ConfigurationError(
        "TLS: the private key is encrypted, and nobody is there to type its passphrase; write it "
        "without one: openssl pkey -in KEY -out KEY_FOR_THE_NODE"
    )


def _required(path: Path | None, name: str) -> Path:
    if path is None:
        raise ConfigurationError(f"SENTINODE_DICOM_TLS_PORT needs SENTINODE_{name}")
    return path
