"""Authentication: from the Authorization header to a `User`, by static tokens and service account tokens.

A request without credentials is anonymous (authorization then allows it the health endpoints and nothing else); a
request with wrong ones is 401, never anonymous. Static tokens are compared by their digests, so that the time that
a comparison takes says nothing about a token.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairlead.apiserver import identity, jwt
from fairlead.apiserver.identity import User
from fairlead.base import errors

ADMIN = User("admin", "admin", (identity.MASTERS,))
SYSTEM_USERS = (
    User("system:kube-controller-manager", "system:kube-controller-manager", (identity.MASTERS,)),
    User("system:kube-scheduler", "system:kube-scheduler", (identity.MASTERS,)),
)
WEBSOCKET_BEARER = "base64url.bearer.authorization.k8s.io."
"""Prefix of the websocket subprotocol that carries a token where a browser cannot send headers."""


class Authenticator:
    """Knows the static tokens (token to user) and, if given, the service account tokens."""

    def __init__(self, static: Mapping[str, User], accounts: jwt.Tokens | None = None) -> None:
        self._static = {_digest(token): _authenticated(user) for token, user in static.items()}
        self._accounts = accounts

    def authenticate(self, authorization: str, *, now: float, protocols: str = "") -> User:
        """The user that the Authorization header (or a websocket subprotocol) names; `identity.ANONYMOUS` without.

        Raises 401 for credentials that are wrong or of an unknown scheme.
        """
        token = _bearer(authorization) or _bearer_protocol(protocols)
        if token is None:
            return identity.ANONYMOUS
        return self.review(token, now=now)

    def review(self, token: str, *, now: float, audiences: Sequence[str] = ()) -> User:
        """The user that a token stands for; 401 when it is not good (for these audiences)."""
        user = self._static.get(_digest(token))
        if user is not None:
            return user
        if self._accounts is None:
            raise errors.unauthorized()
        return self._accounts.verify(token, now=now, audiences=audiences)


def ensure_tokens(path: Path, users: Sequence[User] = (ADMIN, *SYSTEM_USERS)) -> dict[str, User]:
    """The tokens in `path`; tokens of `users` that have none yet are made and added. The file is its owner's only."""
    tokens = read_tokens(path) if path.exists() else {}
    have = {user.name for user in tokens.values()}
    missing = {secrets.token_urlsafe(32): user for user in users if user.name not in have}
    if missing:
        tokens |= missing
        _write_tokens(path, tokens)
    return tokens


def read_tokens(path: Path) -> dict[str, User]:
    """A static token file: lines of `token,user,uid,"group1,group2"` (as kube-apiserver's --token-auth-file)."""
    tokens: dict[str, User] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines), 1):
            if not row:
                continue
            if len(row) < 3 or not row[0] or not row[1]:
                raise ValueError(f"{path}:{number}: a line is token,user,uid and optionally groups in quotes")
            groups = tuple(g.strip() for g in row[3].split(",") if g.strip()) if len(row) > 3 else ()
            tokens[row[0]] = User(row[1], row[2], groups)
    return tokens


def token_of(tokens: Mapping[str, User], name: str) -> str:
    """The token of a user by the user's name; KeyError when there is none."""
    for token, user in tokens.items():
        if user.name == name:
            return token
    raise KeyError(name)


def kubeconfig(server: str, ca_pem: bytes, token: str, namespace: str = "default") -> dict[str, Any]:
    """A kubeconfig with one cluster, one user and one context, all called `fairlead`."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca_pem).decode()}
    context = {"cluster": "fairlead", "user": "fairlead", "namespace": namespace}
    return {
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "fairlead",
        "clusters": [{"name": "fairlead", "cluster": cluster}],
        "users": [{"name": "fairlead", "user": {"token": token}}],
        "contexts": [{"name": "fairlead", "context": context}],
    }  # fmt: skip


def _write_tokens(path: Path, tokens: Mapping[str, User]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [token, user.name, user.uid, ",".join(user.groups)] for token, user in tokens.items()
        )
        out.flush()
        os.fsync(out.fileno())
    os.replace(temporary, path)


def _bearer(authorization: str) -> str | None:
    if not authorization:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.unauthorized()
    return token.strip()


def _bearer_protocol(protocols: str) -> str | None:
    for protocol in protocols.split(","):
        encoded = protocol.strip()
        if encoded.startswith(WEBSOCKET_BEARER):
            encoded = encoded.removeprefix(WEBSOCKET_BEARER)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except ValueError:
                raise errors.unauthorized() from None
    return None


def _authenticated(user: User) -> User:
    if identity.AUTHENTICATED in user.groups:
        return user
    return User(user.name, user.uid, (*user.groups, identity.AUTHENTICATED), user.extra)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
