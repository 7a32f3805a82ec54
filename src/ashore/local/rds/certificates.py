"""An authority of one's own, and certificates for endpoints: `verify-full` can be meant on this machine too."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID: Final = dt.timedelta(days=30)
_SOME_TIME_AGO: Final = dt.timedelta(days=1)
ALPN: Final = "postgresql"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority. `file` is what clients trust; the key is in this process alone."""

    file: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_for(self, host: str) -> bytes:
        """A new key for a server called `host`, and its certificate, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = _builder(host[:64], self.certificate.subject, key).add_extension(name, critical=False)
        certificate = made.sign(self.key, hashes.SHA256())
        return _private(key) + certificate.public_bytes(serialization.Encoding.PEM)

    def tls_context(self, host: str, folder: Path) -> ssl.SSLContext:
        """What a server called `host` needs, with a new certificate; a file of it is in `folder` for a moment."""
        file = folder / "endpoint.pem"
        file.touch(mode=0o600)
        file.write_bytes(self.certificate_for(host))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        context.set_alpn_protocols([ALPN])
        file.unlink()
        return context


def new_authority(folder: Path) -> Authority:
    """Make one; `ca.pem` in the folder is its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ashore local RDS authority")])
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    builder = _builder("ashore local RDS authority", name, key).add_extension(constraints, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    file = folder / "ca.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    file.chmod(0o644)
    return Authority(file, certificate, key)


def _builder(subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SOME_TIME_AGO)
        .not_valid_after(now + _VALID)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
