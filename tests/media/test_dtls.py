"""Certificates and their fingerprints."""

from datetime import UTC, datetime, timedelta

from focus.media.dtls import Identity, fingerprint_of, verifiable
from focus.wire import dtls


def test_fingerprints_of_unknown_kind_cannot_be_verified() -> None:
    known = dtls.Fingerprint(hash="SHA-256", value=":".join(["AB"] * 32))
    unknown = dtls.Fingerprint(hash="md5", value=":".join(["AB"] * 16))
    assert verifiable([unknown, known]) == [known]


def test_one_certificate_serves_until_it_is_about_to_expire() -> None:
    now = datetime.now(UTC)
    clock = iter([now + timedelta(days=20), now + timedelta(days=25)])
    identity = Identity(now=lambda: next(clock))
    first = identity.certificate()
    assert identity.certificate() is first
    assert identity.certificate() is not first


def test_the_fingerprint_is_sha_256_and_leaves_the_role_open() -> None:
    certificate = Identity().certificate()
    fingerprint = fingerprint_of(certificate)
    assert (fingerprint.hash, fingerprint.setup, len(fingerprint.value)) == ("sha-256", None, 95)
