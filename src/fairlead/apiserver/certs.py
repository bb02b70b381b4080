"""Certificates of the API server: an authority made on first start, a server certificate issued by it, and the key
pair that signs service account tokens.

Invariants: certificates are complete by RFC 5280 (Python 3.13 clients refuse an authority key that is not
identified); a private key is readable by its owner only and lies in one file with its certificate, so that the two
never disagree; files are replaced, never rewritten. The authority is never replaced: kubeconfigs carry it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 60
_EARLIER = timedelta(hours=1)
"""Certificates are valid from a little earlier than now: clocks differ."""

NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
ADDRESSES = ("127.0.0.1", "::1")


class Certificates(msgspec.Struct, frozen=True):
    """Where the files are. `server` holds the server's private key and its certificate."""

    ca_pem: bytes
    ca: Path
    server: Path
    signing_key: Path
    """The private key (EC P-256) that signs service account tokens."""


class _Issuer(msgspec.Struct, frozen=True):
    key: Key
    certificate: x509.Certificate


def ensure(directory: Path, *, now: float, hosts: Sequence[str] = ()) -> Certificates:
    """Make what is missing or about to expire in `directory`. `hosts` are further names and addresses to serve."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    moment = datetime.fromtimestamp(now, UTC)
    authority_file, public = directory / "authority.pem", directory / "ca.crt"
    issuer = _load(authority_file)
    if issuer is None:
        issuer = _authority(moment)
        _write(authority_file, _pem(issuer.key) + _pem(issuer.certificate))
    ca_pem = _pem(issuer.certificate)
    if not public.exists() or public.read_bytes() != ca_pem:
        _write(public, ca_pem, mode=0o644)
    server = directory / "server.pem"
    wanted = _alternatives(hosts)
    leaf = _load(server)
    if leaf is None or not _serves(leaf.certificate, issuer, wanted, moment):
        leaf = _server(issuer, wanted, moment)
        _write(server, _pem(leaf.key) + _pem(leaf.certificate))
    signing = directory / "service-account.pem"
    if not signing.exists():
        _write(signing, _pem(ec.generate_private_key(ec.SECP256R1())))
    return Certificates(ca_pem=ca_pem, ca=public, server=server, signing_key=signing)


def server_context(certificates: Certificates) -> ssl.SSLContext:
    """The TLS settings of the server: TLS 1.2 and newer, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates.server)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _authority(moment: datetime) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead-ca")])
    usage = _usage(sign_certificates=True)
    certificate = (
        _builder(name, name, key, moment, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Issuer(key, certificate)


def _server(issuer: _Issuer, names: x509.SubjectAlternativeName, moment: datetime) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead-apiserver")])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    certificate = (
        _builder(name, issuer.certificate.subject, key, moment, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
        .add_extension(names, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return _Issuer(key, certificate)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, moment: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _EARLIER)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternatives(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    own = socket.gethostname().lower()
    for host in dict.fromkeys((*NAMES, own if own.isascii() else "", *ADDRESSES, *hosts)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            if host:
                names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _serves(
    certificate: x509.Certificate, issuer: _Issuer, wanted: x509.SubjectAlternativeName, moment: datetime
) -> bool:
    """True when the certificate is ours, has the wanted names and is good for a while."""
    try:
        certificate.verify_directly_issued_by(issuer.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    begun = certificate.not_valid_before_utc <= moment
    return begun and names == wanted and certificate.not_valid_after_utc - moment > timedelta(days=RENEW_DAYS)


def _load(path: Path) -> _Issuer | None:
    if not path.exists():
        return None
    pem = path.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: the key must be an EC key; remove the file to have a new one made")
    return _Issuer(key, x509.load_pem_x509_certificate(pem))


def _pem(part: Key | x509.Certificate) -> bytes:
    if isinstance(part, x509.Certificate):
        return part.public_bytes(serialization.Encoding.PEM)
    return part.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file by a complete one: a crash leaves the old one or the new one."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
