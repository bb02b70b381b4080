"""Traffic: how many requests of one user are under way at a time.

Who has too many gets 429 and is told when to try again, so that one user's flood leaves the server to the others.
Requests that last (watches, streams) do not count, health is always answered, and group system:masters is exempt.
"""

from __future__ import annotations

from fairlead.apiserver import identity
from fairlead.apiserver.identity import User
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.base import errors

AT_ONCE = 200
"""Requests of one user under way."""
RETRY_SECONDS = 1
_HEALTH = ("/healthz", "/livez", "/readyz")


class Traffic:
    """Counts. `enter` and `leave` come in pairs."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._under_way: dict[str, int] = {}

    def concerns(self, user: User, info: RequestInfo) -> bool:
        """Whether the request counts."""
        if identity.MASTERS in user.groups:
            return False
        return bool(info.plural) or not info.path.startswith(_HEALTH)

    def enter(self, user: User) -> None:
        """One more; 429 if that is too many."""
        count = self._under_way.get(user.name, 0)
        if count >= self._at_once:
            raise errors.too_many_requests("too many requests, please try again later", RETRY_SECONDS)
        self._under_way[user.name] = count + 1

    def leave(self, user: User) -> None:
        """One less."""
        count = self._under_way[user.name] - 1
        if count:
            self._under_way[user.name] = count
        else:
            del self._under_way[user.name]
