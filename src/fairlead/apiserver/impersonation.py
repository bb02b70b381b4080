"""Impersonation: acting as somebody else, as the `Impersonate-` headers say, if one may.

Each part of the other identity is a permission of its own: the user or service account, every group, the uid, and every
value of every extra field. Headers that name no user are refused, never ignored: whoever sends them means to have less
than their own rights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from fairlead.apiserver import identity
from fairlead.apiserver.identity import User
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.base import errors
from fairlead.machinery import causes

_MARK = b"impersonate-"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
ANONYMOUS = identity.ANONYMOUS.name


class Headers(Protocol):
    """What is read of a request's headers; names in any case."""

    def getall(self, key: str, default: list[str]) -> list[str]: ...

    def get(self, key: str, default: str) -> str: ...

    def __iter__(self) -> Iterator[str]: ...


def asked(raw: Sequence[tuple[bytes, bytes]]) -> bool:
    """Does a request want to act as somebody else?"""
    return any(name[:12].lower() == _MARK for name, _ in raw)


def act(headers: Headers, user: User, authorizer: Authorizer) -> User:
    """Who the request acts as. Raises 400 for headers that make no sense, 403 for a part that is not allowed."""
    other = _wanted(headers)
    if not other.name:
        raise errors.bad_request(f"requested {_as_go(other)} without impersonating a user name")
    for info in _permissions(other):
        authorizer.allow(user, info)
    return User(other.name, other.uid, _groups(other), other.extra)


def _wanted(headers: Headers) -> User:
    extra: dict[str, tuple[str, ...]] = {}
    for header in dict.fromkeys(name.lower() for name in headers):
        if header.startswith(_EXTRA):
            key = unquote(header[len(_EXTRA) :]).lower()
            extra[key] = (*extra.get(key, ()), *headers.getall(header, []))
    groups = tuple(headers.getall("Impersonate-Group", []))
    return User(headers.get("Impersonate-User", ""), headers.get("Impersonate-Uid", ""), groups, extra)


def _permissions(other: User) -> Iterator[RequestInfo]:
    account = identity.account_of(other.name)
    if account is not None:
        yield _impersonate("", "serviceaccounts", account[1], namespace=account[0])
    else:
        yield _impersonate("", "users", other.name)
    for group in other.groups:
        yield _impersonate("", "groups", group)
    if other.uid:
        yield _impersonate(_AUTHENTICATION, "uids", other.uid)
    for key, values in other.extra.items():
        for value in values:
            yield _impersonate(_AUTHENTICATION, "userextras", value, subresource=key)


def _impersonate(group: str, plural: str, name: str, *, namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo("impersonate", "", group, "v1", namespace, plural, name, subresource)


def _groups(other: User) -> tuple[str, ...]:
    """The groups, with those that the server always adds."""
    if other.name == ANONYMOUS:
        return other.groups or (identity.UNAUTHENTICATED,)
    groups = other.groups
    account = identity.account_of(other.name)
    if account is not None and not groups:
        groups = (identity.SERVICE_ACCOUNTS, f"{identity.SERVICE_ACCOUNTS}:{account[0]}")
    known = identity.AUTHENTICATED in groups or identity.UNAUTHENTICATED in groups
    return groups if known else (*groups, identity.AUTHENTICATED)


def _as_go(user: User) -> str:
    """An identity without a name as upstream's message prints it."""
    groups = "[]string(nil)" if not user.groups else "[]string{" + ", ".join(map(causes.spelled, user.groups)) + "}"
    return (
        f'&user.DefaultInfo{{Name:"", UID:{causes.spelled(user.uid)}, Groups:{groups}, '
        f"Extra:{_extra_as_go(user.extra)}}}"
    )


def _extra_as_go(extra: Mapping[str, Sequence[str]]) -> str:
    if not extra:
        return "map[string][]string(nil)"
    entries = (
        f"{causes.spelled(key)}:[]string{{{', '.join(map(causes.spelled, extra[key]))}}}" for key in sorted(extra)
    )
    return f"map[string][]string{{{', '.join(entries)}}}"
