"""A watch over HTTP: one JSON line an event, until its time is up, the client goes or the server stops.

For plain JSON a line is made of the stored bytes as they are, once for all watchers. An error after the answer has
begun is an ERROR event with a Status, as upstream; before that it is an ordinary error answer.

What one watcher can cost is bounded: a batch is sent in pieces, each waits until the one before is under way, and a
client that reads nothing for `PATIENCE` loses its connection. Where many watch, each one's events are gathered for some
milliseconds, so that a write costs fewer wake-ups than there are watchers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from aiohttp import web

from fairlead.apiserver import encoding, rendering, rest, state, table, watch
from fairlead.apiserver.negotiation import Form
from fairlead.apiserver.state import Api, Call
from fairlead.apiserver.table import Include
from fairlead.apiserver.watch import Change
from fairlead.base.errors import StatusError

PATIENCE = 30.0
"""Seconds that a client may read nothing while something is to be sent."""
_PIECE = 128 * 1024
"""Bytes that are handed to a connection at once, about."""
_GATHER_EACH, _GATHER_MOST = 0.0001, 0.02
"""Seconds, for each watcher there is, that a watcher's events are gathered; and the most."""
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
_LINES = {kind: f'{{"type":"{kind}","object":'.encode() for kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")}


class Lines:
    """Changes to lines, in the client's form."""

    def __init__(self, api: Api, call: Call, form: Form, include: Include) -> None:
        self._api, self._call, self._form, self._include = api, call, form, include
        self._first = True
        self._shared = api.lines if form.kind == "object" and state.as_stored(call.served) else None

    def pieces(self, batch: Sequence[Change]) -> Iterator[bytes]:
        """The lines of a batch, some at a time."""
        gathered: list[bytes] = []
        size = 0
        for change in batch:
            line = self._line(change)
            gathered.append(line)
            size += len(line)
            if size >= _PIECE:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)

    def _line(self, change: Change) -> bytes:
        if self._shared is None or not change.value:
            return b"".join((self._head(change), self._value(change), b"}\n"))
        # A revision is one write of one object; what it is to a watcher depends on the watcher's selection.
        known = self._shared.get((change.revision, change.type))
        if known is None:
            known = b"".join((_LINES[change.type], change.value, b"}\n"))
            self._shared.put((change.revision, change.type), known)
        return known

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
    api.watchers += 1
    patience = Patience(request)
    try:
        await _pass_on(response, api, changes, lines, bookmarks=asked.bookmarks)
    except ConnectionError:
        pass  # the client went away, or read nothing
    finally:
        api.watchers -= 1
        patience.end()
        await changes.aclose()
    return response


async def _pass_on(
    response: web.StreamResponse, api: Api, changes: AsyncIterator[Sequence[Change]], lines: Lines, *, bookmarks: bool
) -> None:
    try:
        async for batch in changes:
            if bookmarks or batch[0].type != "BOOKMARK":
                for piece in lines.pieces(batch):
                    await response.write(piece)
            pause = min(api.watchers * _GATHER_EACH, _GATHER_MOST)
            if pause > 0.001:
                await asyncio.sleep(pause)
    except StatusError as error:
        await response.write(lines.error(error))
    await response.write_eof()


class Patience:
    """Cuts a connection whose client reads nothing: between two looks nothing left the buffer that was full.

    One timer for a stream, because a time limit for each write would cost as much as the write.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._transport = request.transport
        self._loop = asyncio.get_running_loop()
        self._stuck = 0
        self._timer = self._loop.call_later(PATIENCE / 2, self._look)

    def _look(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        waiting = self._transport.get_write_buffer_size()
        if waiting and waiting == self._stuck:
            self._transport.abort()
            return
        self._stuck = waiting
        self._timer = self._loop.call_later(PATIENCE / 2, self._look)

    def end(self) -> None:
        """The stream has ended."""
        self._timer.cancel()
