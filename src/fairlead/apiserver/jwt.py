"""Service account tokens: JSON Web Tokens (RFC 7519) signed with ES256 (RFC 7518), with Kubernetes' private claims.

A token names its service account, its audiences, its expiry and, if bound, its Pod. Whether those objects still exist
is asked of `Exists` on every use, so that deleting a Pod ends its tokens. A verified signature is remembered: a token
is sent with every request, and checking one takes longer than reading most objects.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from fairlead.apiserver import identity
from fairlead.apiserver.identity import User
from fairlead.base import errors

ISSUER = "https://kubernetes.default.svc.cluster.local"
SHORTEST, LONGEST = 600, 1 << 32
_REMEMBERED = 4096

Exists = Callable[[str, str, str, str], bool]
"""(plural, namespace, name, uid) of a core object: is it there, with that uid?"""


class Reference(msgspec.Struct, frozen=True):
    """An object that a token is bound to."""

    name: str
    uid: str


class Subject(msgspec.Struct, frozen=True):
    """Who a token is for."""

    namespace: str
    name: str
    uid: str
    pod: Reference | None = None


class Tokens:
    """Issues and verifies. `exists` is asked about service accounts and Pods."""

    def __init__(self, private_pem: bytes, exists: Exists, issuer: str = ISSUER) -> None:
        key = serialization.load_pem_private_key(private_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("service account tokens are signed with an EC key (P-256)")
        self._key, self._public = key, key.public_key()
        self._exists, self.issuer = exists, issuer
        der = self._public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._header = _encode(msgspec.json.encode({"alg": "ES256", "kid": _encode(hashlib.sha256(der).digest())}))
        self._verified: dict[str, dict[str, Any]] = {}

    def issue(self, subject: Subject, audiences: Sequence[str], seconds: int, *, now: float, identifier: str) -> str:
        """A token good for `seconds` from `now`. `identifier` (a fresh uuid) is its `jti`."""
        begun = int(now)
        private: dict[str, Any] = {
            "namespace": subject.namespace,
            "serviceaccount": {"name": subject.name, "uid": subject.uid},
        }
        if subject.pod is not None:
            private["pod"] = {"name": subject.pod.name, "uid": subject.pod.uid}
        claims = {
            "aud": list(audiences) or [self.issuer], "exp": begun + seconds, "iat": begun, "nbf": begun,
            "iss": self.issuer, "jti": identifier, "kubernetes.io": private,
            "sub": identity.service_account(subject.namespace, subject.name),
        }  # fmt: skip
        signed = f"{self._header}.{_encode(msgspec.json.encode(claims))}"
        der = self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def verify(self, token: str, *, now: float, audiences: Sequence[str] = ()) -> User:
        """The service account as a user; 401 when anything about the token is wrong."""
        claims = self._claims(token)
        if not claims["nbf"] - 60 <= now < claims["exp"]:
            raise errors.unauthorized()
        if not set(claims["aud"]) & set(audiences or (self.issuer,)):
            raise errors.unauthorized()
        return self._user(claims)

    def _user(self, claims: dict[str, Any]) -> User:
        private = claims["kubernetes.io"]
        namespace, account, pod = private["namespace"], private["serviceaccount"], private.get("pod")
        if not self._exists("serviceaccounts", namespace, account["name"], account["uid"]):
            raise errors.unauthorized()
        extra = {"authentication.kubernetes.io/credential-id": (f"JTI={claims['jti']}",)}
        if pod is not None:
            if not self._exists("pods", namespace, pod["name"], pod["uid"]):
                raise errors.unauthorized()
            extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
            extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
        groups = (
            identity.SERVICE_ACCOUNTS, f"{identity.SERVICE_ACCOUNTS}:{namespace}", identity.AUTHENTICATED,
        )  # fmt: skip
        return User(identity.service_account(namespace, account["name"]), account["uid"], groups, extra)

    def _claims(self, token: str) -> dict[str, Any]:
        known = self._verified.get(token)
        if known is not None:
            return known
        try:
            claims = self._checked(token)
        except (ValueError, KeyError, TypeError, InvalidSignature):  # msgspec's errors are ValueErrors
            raise errors.unauthorized() from None
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _checked(self, token: str) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        raw = _decode(signature)
        if header != self._header or len(raw) != 64:
            raise ValueError("not signed by this server")
        der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        self._public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
        claims: dict[str, Any] = msgspec.json.decode(_decode(payload), type=dict[str, Any])
        if claims["iss"] != self.issuer:
            raise ValueError("another issuer")
        return claims


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
