"""Exchange: one HTTP request on its way through the server, with what each layer of `app` has found out about it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fairlead.apiserver import identity
from fairlead.apiserver.requestinfo import RequestInfo

_EMPTY: Mapping[str, str] = {}


class Exchange:
    """`info` and `user` are filled in on the way; `warnings` become Warning headers of the answer.

    `user` is who the request acts as, `sender` who has sent it: they differ when somebody is impersonated. `peer` is
    the uid at the other end of a unix socket. `annotations` and `record` are for the audit log.
    """

    __slots__ = ("annotations", "info", "peer", "query", "record", "request", "sender", "user", "warnings")

    def __init__(self, request: web.BaseRequest, peer: int | None = None) -> None:
        self.request = request
        self.query: Mapping[str, str] = request.query if request.query_string else _EMPTY
        self.info = RequestInfo("", "")
        self.user = self.sender = identity.ANONYMOUS
        self.peer = peer
        self.warnings: list[str] = []
        self.annotations: dict[str, str] = {}
        self.record: object | None = None

    @property
    def accept(self) -> str:
        return self.request.headers.get("Accept", "")

    @property
    def content_type(self) -> str:
        return self.request.headers.get("Content-Type", "")

    @property
    def agent(self) -> str:
        """The client's name: its User-Agent up to the version, as a field manager."""
        return self.request.headers.get("User-Agent", "").partition("/")[0][:128]
