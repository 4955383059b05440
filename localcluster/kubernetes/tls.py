"""The API server's certificate, signed by a CA of our own: kubectl sends a token over nothing else than HTTPS."""

from __future__ import annotations

import fcntl
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster.files import write_atomically
from localcluster.settings import HOST

LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)


def ensure_certificates(directory: Path) -> None:
    """Make CA and server certificate, or new ones where they are missing or end within a month."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _still_good(directory):
            _make(directory)


def _still_good(directory: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate((directory / "server.crt").read_bytes())
        valid = certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE
        return valid and (directory / "server.key").exists() and (directory / "ca.crt").exists()
    except (FileNotFoundError, ValueError):
        return False


def _make(directory: Path) -> None:
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localcluster Kubernetes CA")])
    ca = _builder(ca_name, ca_name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = ca.add_extension(usage, critical=True)
    names = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
    server = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localcluster Kubernetes API")]), ca_name, key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    _write(directory / "ca.crt", ca.sign(ca_key, hashes.SHA256()))
    _write(directory / "server.crt", server.sign(ca_key, hashes.SHA256()))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(directory / "server.key", pem, mode=0o600)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(hours=1)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), start, start + LIFETIME
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    write_atomically(path, certificate.public_bytes(serialization.Encoding.PEM))
