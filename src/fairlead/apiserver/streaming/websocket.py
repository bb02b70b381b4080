"""Channels in a websocket: the first byte of a message is the channel's number.

Subprotocols, as upstream: `v5.channel.k8s.io` (255 and a number: that channel has ended), `v4.channel.k8s.io`, and
`v4.base64.channel.k8s.io` (text; the number is a digit, the rest base64). A client that asks for none gets what v4
has. Text messages are taken for their bytes where binary ones are expected: Python's client sends them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence

from aiohttp import WSMessage, WSMsgType, web

from fairlead.apiserver import auth
from fairlead.base import errors

V5, V4, BASE64 = "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"
CHANNELS = (V5, V4, BASE64, "channel.k8s.io")
LARGEST = 32 << 20
"""Bytes of the largest message that is taken."""
_ENDED = 255


def wanted(request: web.BaseRequest) -> bool:
    """Does the request ask for a websocket?"""
    return request.headers.get("Upgrade", "").lower() == "websocket"


def choose(request: web.BaseRequest, served: Sequence[str]) -> str:
    """The first subprotocol that the client names and that is served; "" when it names none. Raises 400."""
    offered = [p.strip() for p in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if p.strip()]
    named = [p for p in offered if not p.startswith(auth.WEBSOCKET_BEARER)]
    for protocol in named:
        if protocol in served:
            return protocol
    if named:
        known = ", ".join(served)
        raise errors.bad_request(f"none of the subprotocols {named} is served here; there are {known}")
    return ""


async def accept(request: web.BaseRequest, protocol: str) -> web.WebSocketResponse:
    """Answer 101."""
    socket = web.WebSocketResponse(
        protocols=(protocol,) if protocol else (), compress=False, max_msg_size=LARGEST, timeout=5.0
    )
    await socket.prepare(request)
    return socket


class Channels:
    """A `channels.Client`."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str) -> None:
        self._socket, self._tells_ends, self._text = socket, protocol == V5, protocol == BASE64

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            for item in self._read(message):
                yield item

    def _read(self, message: WSMessage) -> Sequence[tuple[int, bytes]]:
        data = message.data.encode() if message.type == WSMsgType.TEXT else bytes(message.data)
        if self._text:
            data = _plain(data)
        if self._tells_ends and data[:1] == b"\xff":
            return [(data[1], b"")] if len(data) > 1 else []
        return [(data[0], data[1:])] if len(data) > 1 else []

    async def send(self, channel: int, data: bytes) -> None:
        if self._text:
            await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes((channel,)) + data)

    async def end(self, channel: int) -> None:
        """Say that nothing more comes on a channel, where the protocol can."""
        if self._tells_ends:
            await self._socket.send_bytes(bytes((_ENDED, channel)))

    async def finish(self) -> None:
        await self._socket.close()


def _plain(data: bytes) -> bytes:
    """A base64 message as a binary one; nothing for one that is neither."""
    try:
        return bytes((int(data[:1]),)) + base64.b64decode(data[1:])
    except (ValueError, binascii.Error):
        return b""
