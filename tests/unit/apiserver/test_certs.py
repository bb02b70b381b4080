"""Certificates: complete, private, renewed in time, and trusted by the strictest Python client."""

from __future__ import annotations

import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from fairlead.apiserver import certs

NOW = 1_790_000_000.0
DAY = 86400


def leaf(found: certs.Certificates) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.server.read_bytes())


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    waiting = [theirs, ours]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return
    raise AssertionError("no end to the handshake")


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "kubernetes.default.svc", "::1", "head.example", "10.1.2.3"]
)
def test_strict_clients_trust_it(tmp_path: Path, name: str) -> None:
    found = certs.ensure(tmp_path, now=time.time(), hosts=("head.example", "10.1.2.3"))
    client = ssl.create_default_context(cadata=found.ca_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT

    handshake(certs.server_context(found), client, name)


def test_other_names_are_refused(tmp_path: Path) -> None:
    found = certs.ensure(tmp_path, now=time.time())
    client = ssl.create_default_context(cadata=found.ca_pem.decode())

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certs.server_context(found), client, "example.org")


def test_private_keys_are_private(tmp_path: Path) -> None:
    found = certs.ensure(tmp_path / "pki", now=NOW)

    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "pki").iterdir()}

    assert modes == {"authority.pem": 0o600, "server.pem": 0o600, "service-account.pem": 0o600, "ca.crt": 0o644}
    assert b"PRIVATE" not in found.ca_pem


def test_nothing_changes_while_all_is_well(tmp_path: Path) -> None:
    certs.ensure(tmp_path, now=NOW)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    certs.ensure(tmp_path, now=NOW + 100 * DAY)

    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_only_the_leaf_is_renewed_before_it_expires(tmp_path: Path) -> None:
    first = certs.ensure(tmp_path, now=NOW)
    old = leaf(first)

    second = certs.ensure(tmp_path, now=NOW + (certs.SERVER_DAYS - certs.RENEW_DAYS + 1) * DAY)

    assert second.ca_pem == first.ca_pem
    assert leaf(second).not_valid_after_utc > old.not_valid_after_utc


def test_new_names_make_a_new_leaf(tmp_path: Path) -> None:
    first = certs.ensure(tmp_path, now=NOW)
    old = leaf(first).serial_number

    assert leaf(certs.ensure(tmp_path, now=NOW, hosts=("node.example",))).serial_number != old


def test_a_leaf_of_another_authority_is_replaced(tmp_path: Path) -> None:
    mine = certs.ensure(tmp_path / "mine", now=NOW)
    theirs = certs.ensure(tmp_path / "theirs", now=NOW)
    mine.server.write_bytes(theirs.server.read_bytes())

    found = certs.ensure(tmp_path / "mine", now=NOW)

    leaf(found).verify_directly_issued_by(x509.load_pem_x509_certificate(found.ca_pem))


def test_rfc_5280_fields(tmp_path: Path) -> None:
    found = certs.ensure(tmp_path, now=NOW)
    authority = x509.load_pem_x509_certificate(found.ca_pem)

    for certificate, is_authority in ((authority, True), (leaf(found), False)):
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints)
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        key = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert (basic.critical, basic.value.ca) == (True, is_authority)
        assert (usage.critical, usage.value.key_cert_sign) == (True, is_authority)
        assert key == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        identified = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        assert identified == x509.SubjectKeyIdentifier.from_public_key(authority.public_key()).digest
