"""Authority: the `authorizer` of expressions, which asks what the user of the request (or another one) may do.

`authorizer.group('apps').resource('deployments').namespace('x').check('create').allowed()`, `authorizer.path('/x')`,
`authorizer.serviceAccount('ns', 'name')`, `authorizer.requestResource`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.apiserver import identity
from fairlead.apiserver.dynamic.matching import Subject
from fairlead.apiserver.identity import User
from fairlead.apiserver.rbac import Authorizer, Verdict
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.machinery.cel import CelError


class Decision:
    """The answer of a check."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict

    def cel_call(self, name: str) -> Any:
        """`allowed()`, `reason()`, `errored()`, `error()`."""
        match name:
            case "allowed":
                return self._verdict.allowed
            case "reason":
                return self._verdict.reason
            case "errored":
                return False
            case "error":
                return ""
        raise CelError(f"no such overload: {name}")


class Asker:
    """A question that is being put together. Each step makes a new one."""

    def __init__(self, authorizer: Authorizer, user: User, info: RequestInfo, subject: Subject) -> None:
        self._authorizer, self._user, self._info, self._subject = authorizer, user, info, subject

    @classmethod
    def of(cls, authorizer: Authorizer, user: User, subject: Subject) -> Asker:
        """The `authorizer` of a request."""
        return cls(authorizer, user, RequestInfo("", ""), subject)

    def cel_member(self, name: str) -> Any:
        """`requestResource`: the object of the request itself."""
        if name != "requestResource":
            raise CelError(f"no such key: {name}")
        s = self._subject
        info = RequestInfo("", "", s.group, s.versions[0], s.namespace, s.plural, s.name, s.subresource)
        return self._with(info)

    def cel_call(self, name: str, *arguments: Any) -> Any:
        """One step of the question."""
        match name, arguments:
            case ("group", (str(value),)):
                return self._with(self._said(group=value))
            case ("resource", (str(value),)):
                return self._with(self._said(plural=value))
            case ("subresource", (str(value),)):
                return self._with(self._said(subresource=value))
            case ("namespace", (str(value),)):
                return self._with(self._said(namespace=value))
            case ("name", (str(value),)):
                return self._with(self._said(name=value))
            case ("path", (str(value),)):
                return self._with(RequestInfo("", value))
            case ("serviceAccount", (str(namespace), str(account))):
                return Asker(self._authorizer, _account(namespace, account), self._info, self._subject)
            case ("check", (str(verb),)):
                return Decision(self._authorizer.explain(self._user, self._said(verb=verb)))
        raise CelError(f"no such overload: {name}")

    def _said(self, **fields: str) -> RequestInfo:
        return msgspec.structs.replace(self._info, **fields)

    def _with(self, info: RequestInfo) -> Asker:
        return Asker(self._authorizer, self._user, info, self._subject)


def _account(namespace: str, name: str) -> User:
    groups = (identity.SERVICE_ACCOUNTS, f"{identity.SERVICE_ACCOUNTS}:{namespace}", identity.AUTHENTICATED)
    return User(identity.service_account(namespace, name), groups=groups)
