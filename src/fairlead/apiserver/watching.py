"""A watch over HTTP: one JSON line an event, until its time is up, the client goes or the server stops.

For plain JSON a line is made of the stored bytes as they are. An error after the answer has begun is an ERROR event
with a Status, as upstream; before that it is an ordinary error answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from fairlead.apiserver import encoding, rendering, rest, state, table, watch
from fairlead.apiserver.negotiation import Form
from fairlead.apiserver.state import Api, Call
from fairlead.apiserver.table import Include
from fairlead.apiserver.watch import Change
from fairlead.base.errors import StatusError

_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
_LINES = {kind: f'{{"type":"{kind}","object":'.encode() for kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")}


class Lines:
    """Changes to lines, in the client's form."""

    def __init__(self, api: Api, call: Call, form: Form, include: Include) -> None:
        self._api, self._call, self._form, self._include = api, call, form, include
        self._first = True

    def of(self, batch: Sequence[Change]) -> bytes:
        """The lines of a batch."""
        return b"".join(part for change in batch for part in (self._head(change), self._value(change), b"}\n"))

    @staticmethod
    def error(error: StatusError) -> bytes:
        """The line of an error."""
        return b"".join((b'{"type":"ERROR","object":', encoding.encode(error.as_status()), b"}\n"))

    @staticmethod
    def _head(change: Change) -> bytes:
        return _LINES["BOOKMARK" if change.type == "INITIAL_END" else change.type]

    def _value(self, change: Change) -> bytes:
        served = self._call.served
        if not change.value:
            ends = change.type == "INITIAL_END"
            return rendering.bookmark(served, change.revision, self._form, ends_initial=ends)
        value = state.seen(served, change.value)
        if self._form.kind != "table":
            return rendering.one(served, value, self._form, self._include, 0.0)
        headers, self._first = self._first, False
        whole = table.table(
            served, [encoding.decode(value)], now=self._api.clock.now(), include=self._include,
            version=self._form.version, headers=headers,
        )  # fmt: skip
        return encoding.encode(whole)


async def stream(
    request: web.BaseRequest, api: Api, call: Call, asked: watch.Query, lines: Lines
) -> web.StreamResponse:
    """Answer a watch."""
    changes = rest.changes(api, call, asked)
    response = web.StreamResponse(headers=_HEADERS)
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        async for batch in changes:
            if request.transport is None or request.transport.is_closing():
                return response
            if asked.bookmarks or batch[0].type != "BOOKMARK":
                await response.write(lines.of(batch))
    except StatusError as error:
        await response.write(lines.error(error))
    except ConnectionError:
        return response
    finally:
        await changes.aclose()
    await response.write_eof()
    return response
