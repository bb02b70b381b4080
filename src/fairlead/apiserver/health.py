"""Health: `/healthz`, `/livez` and `/readyz`, each `ok` or the list of checks with `?verbose`.

A check is a name and a function that answers what is wrong, or nothing. Live means that the process serves requests;
ready also that its store takes writes and that whoever made it says that it has started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from fairlead.apiserver.exchange import Exchange
from fairlead.base import errors

Check = Callable[[], str]
_PATHS = ("healthz", "livez", "readyz")


class Health:
    """Answers the health endpoints. `checks` are those of readyz and healthz; livez has `ping` alone."""

    def __init__(self, checks: Mapping[str, Check] | None = None) -> None:
        self._checks = {"ping": lambda: "", **(checks or {})}

    async def __call__(self, exchange: Exchange) -> web.StreamResponse | None:
        info = exchange.info
        if info.is_resource:
            return None
        parts = [p for p in info.path.split("/") if p]
        if not parts or parts[0] not in _PATHS:
            return None
        if info.verb not in ("get", "head"):
            raise errors.method_not_allowed()
        checks = {"ping": self._checks["ping"]} if parts[0] == "livez" else self._checks
        if len(parts) == 2 and parts[1] in checks:
            checks = {parts[1]: checks[parts[1]]}
        elif len(parts) > 1:
            raise errors.path_not_found()
        return _report(parts[0], {name: check() for name, check in checks.items()}, verbose="verbose" in exchange.query)


def _report(which: str, problems: Mapping[str, str], *, verbose: bool) -> web.Response:
    failed = any(problems.values())
    if not failed and not verbose:
        return web.Response(text="ok")
    lines = [f"[-]{name} failed: {problem}" if problem else f"[+]{name} ok" for name, problem in problems.items()]
    lines.append(f"{which} check {'failed' if failed else 'passed'}")
    return web.Response(text="\n".join(lines) + "\n", status=503 if failed else 200)
