"""The certificate of the embedded server: self-signed, made where none is given."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from focus.service.ready import ServiceError

LIFETIME = datetime.timedelta(days=397)
RENEW_BEFORE = datetime.timedelta(days=30)


def self_signed(names: Sequence[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """A certificate for these DNS names and its key (P-256), both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def still_good(certificate: Path, names: Sequence[str], now: datetime.datetime) -> bool:
    """Whether the file holds a certificate for all these names that will not end soon."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        alternatives = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    covered = set(alternatives.get_values_for_type(x509.DNSName))
    return covered.issuperset(names) and now < loaded.not_valid_after_utc - RENEW_BEFORE


def read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """The content of both files. Raises ServiceError if one cannot be read or they do not belong together."""
    contents = []
    for file in (certificate, key):
        try:
            contents.append(file.read_bytes())
        except OSError as error:
            raise ServiceError(f"{file} cannot be read: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise ServiceError(f"{certificate} and {key} are no certificate and its key in PEM: {error}") from error
    return contents[0], contents[1]


def _no_password() -> str:
    raise ValueError("the key has a password")
