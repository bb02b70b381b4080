"""prober: makes probes and runs hooks: commands inside the container, requests to the Pod's address. The shell.

What a probe's outcome means is `health`'s affair. Requests come from the node, as a kubelet's do: a container has to
listen on the Pod's address (all addresses, or its host name), not on 127.0.0.1 alone. `httpGet` follows redirects
within its host and does not verify certificates; `grpc` is without TLS (see `grpchealth`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl

import aiohttp
import msgspec
from yarl import URL

from fairlead.agent import grpchealth
from fairlead.agent.runtimes import Ref, Runtime, StartError
from fairlead.api.core import Act, Container, HttpGetAction, TcpSocketAction

_OUTPUT = 10 << 10
"""The most of a command's output or of an answer that is looked at."""
_REDIRECTS = 10
_UNREACHABLE = (OSError, aiohttp.ClientError, ssl.SSLError)


class Target(msgspec.Struct, frozen=True):
    """A running container, and the address that its ports are at."""

    ref: Ref
    container: Container
    ip: str


class HookFailed(Exception):
    """A hook did not do what it should; the text says why."""


class Wrong(Exception):
    """The probe itself is wrong (such as a port's name that no port has): it cannot be made."""


class Prober:
    """One for all containers of a node."""

    def __init__(self, runtime: Runtime, version: str) -> None:
        self._runtime = runtime
        self._agent = f"kube-probe/{version.removeprefix('v') or 'fairlead'}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    # --- probes

    async def probe(self, target: Target, act: Act, seconds: float) -> tuple[bool | None, str]:
        """Whether it is well (None: it could not be asked), and what to say of it."""
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(target, act)
        except TimeoutError:
            return False, f"no answer within {seconds:g}s"
        except (StartError, Wrong) as e:
            return None, str(e)

    async def _ask(self, target: Target, act: Act) -> tuple[bool | None, str]:
        if act.exec is not None:
            code, output = await self.execute(target, act.exec.command)
            return code == 0, "" if code == 0 else output
        if act.httpGet is not None:
            return await self._get(target, act.httpGet)
        if act.tcpSocket is not None:
            return await self._connect(target, act.tcpSocket)
        if act.grpc is not None:
            return await self._health(target, act.grpc.port, act.grpc.service)
        return None, "the probe has no action"

    async def _connect(self, target: Target, act: TcpSocketAction) -> tuple[bool, str]:
        host, port = act.host or target.ip, port_of(act.port, target.container)
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as e:
            return False, f"dial tcp {host}:{port}: {_reason(e)}"
        writer.close()
        return True, ""

    async def _health(self, target: Target, port: int, service: str) -> tuple[bool, str]:
        try:
            reader, writer = await asyncio.open_connection(target.ip, port)
        except OSError as e:
            return False, f'timeout: failed to connect service "{target.ip}:{port}": {_reason(e)}'
        answer = grpchealth.Answer()
        try:
            writer.write(grpchealth.request(f"{target.ip}:{port}", service, self._agent))
            while not answer.over:
                writer.write(answer.receive(await reader.read(1 << 14)))
        except OSError:
            pass  # It has closed: the answer is what it is.
        finally:
            writer.close()
        return grpchealth.verdict(answer)

    async def _get(self, target: Target, act: HttpGetAction) -> tuple[bool, str]:
        url = url_of(act, target)
        try:
            status, elsewhere = await self._follow(url, act)
        except _UNREACHABLE as e:
            return False, f'Get "{url}": {_reason(e)}'
        if elsewhere:
            return True, f"Probe terminated redirects, Response redirects to {elsewhere}"
        return (True, "") if 200 <= status < 400 else (False, f"HTTP probe failed with statuscode: {status}")

    async def _follow(self, url: URL, act: HttpGetAction) -> tuple[int, str]:
        """The last answer's status; and where it wants to be, if that is another host."""
        headers = {"User-Agent": self._agent, "Accept": "*/*"} | {h.name: h.value for h in act.httpHeaders}
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, limit=0, ssl=False)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        for _ in range(_REDIRECTS):
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(_OUTPUT)
                place = answer.headers.get("Location") if answer.status in (301, 302, 303, 307, 308) else None
            if place is None:
                return answer.status, ""
            onwards = url.join(URL(place))
            if onwards.host != url.host:
                return answer.status, str(onwards)
            url = onwards
        raise aiohttp.ClientError(f"stopped after {_REDIRECTS} redirects")

    async def execute(self, target: Target, command: list[str]) -> tuple[int, str]:
        """Run a command in the container: its exit code and its output. Cancelled: it is killed."""
        reading, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            process = await self._runtime.execute(target.ref, command, (nothing, writing, writing))
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(nothing)
        output = _Output(reading)
        try:
            code = await process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            output.close()
        return code, output.text

    # --- hooks

    async def hook(self, target: Target, act: Act, seconds: float | None) -> None:
        """Do what a hook says. Raises HookFailed."""
        try:
            async with asyncio.timeout(seconds):
                await self._act(target, act)
        except TimeoutError:
            raise HookFailed(f"it took longer than the {seconds:g}s that were left") from None
        except (StartError, Wrong, *_UNREACHABLE) as e:
            raise HookFailed(_reason(e)) from e

    async def _act(self, target: Target, act: Act) -> None:
        if act.exec is not None:
            code, output = await self.execute(target, act.exec.command)
            if code:
                raise HookFailed(f"command {' '.join(act.exec.command)!r} exited with {code}: {output}")
        elif act.httpGet is not None:
            await self._follow(url_of(act.httpGet, target), act.httpGet)  # Any answer will do, as upstream.
        elif act.sleep is not None:
            await asyncio.sleep(act.sleep.seconds)
        else:
            raise HookFailed("a hook does exec, httpGet or sleep, and nothing else")


class _Output:
    """Reads a pipe as it fills, so that nobody waits for a reader, and keeps the beginning."""

    def __init__(self, fd: int) -> None:
        self._fd, self._kept = fd, b""
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def _read(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, 1 << 16)
            self._kept += data[: _OUTPUT - len(self._kept)]
            if data:
                return True
            asyncio.get_running_loop().remove_reader(self._fd)
        return False

    def close(self) -> None:
        """Take what is still there, without waiting for those who hold the other end."""
        while len(self._kept) < _OUTPUT and self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")


def port_of(port: int | str, container: Container) -> int:
    """A port by number, or by the name that the container gives it. Raises Wrong."""
    if isinstance(port, int):
        return port
    named = next((p.containerPort for p in container.ports if p.name == port), None)
    if named is not None:
        return named
    if port.isdigit():
        return int(port)
    raise Wrong(f'container "{container.name}" has no port named "{port}"')


def url_of(act: HttpGetAction, target: Target) -> URL:
    """Where `httpGet` goes. Raises Wrong."""
    host, port = act.host or target.ip, port_of(act.port, target.container)
    shown = f"[{host}]" if ":" in host else host
    return URL(f"{act.scheme.lower()}://{shown}:{port}/{act.path.removeprefix('/')}", encoded=True)


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    return f"connect: {os.strerror(number).lower()}" if number and number > 0 else str(error) or type(error).__name__
