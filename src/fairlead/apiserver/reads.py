"""Get and list: what is stored, at one revision.

A list is answered from the live objects or, with a continue token or `resourceVersionMatch=Exact`, as of the revision
that its first page was made at; once that is compacted the answer is 410. A continue token names that revision and the
last key that was sent, nothing else, so that it survives a restart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

import msgspec

from fairlead.apiserver import state
from fairlead.apiserver.selection import Selection
from fairlead.apiserver.state import Api, Call
from fairlead.base import errors
from fairlead.base.errors import Cause
from fairlead.store.mvcc import Compacted, Entry, FutureRevision, Page

_CHUNK = 1000
"""How many objects are looked at at a time when a limited list has a selector."""


class Query(msgspec.Struct, frozen=True):
    """What of `metav1.ListOptions` a list reads."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continues: str = ""
    revision: str = ""
    match: str = ""


class Found(msgspec.Struct, frozen=True):
    """A page of a list."""

    entries: Sequence[Entry]
    revision: int
    continues: str = ""
    remaining: int | None = None


class _Token(msgspec.Struct, frozen=True):
    v: str
    rv: int
    start: str


def query(parameters: Mapping[str, str]) -> Query:
    """From a request's query; 400 for a limit that is no number."""
    if not parameters:
        return Query()
    limit = parameters.get("limit", "")
    if limit and not limit.lstrip("-").isdigit():
        raise errors.bad_request(f'limit: "{limit}" is not a whole number')
    return Query(
        parameters.get("labelSelector", ""), parameters.get("fieldSelector", ""), max(int(limit or 0), 0),
        parameters.get("continue", ""), parameters.get("resourceVersion", ""),
        parameters.get("resourceVersionMatch", ""),
    )  # fmt: skip


def get(api: Api, call: Call) -> bytes:
    """One object's bytes. Raises 404."""
    source = api.sources.get(call.served.resource.gvr)
    if source is None:
        entry = api.store.get(call.key)
    else:
        entry = next((e for e in source(call.namespace) if e.key == call.key), None)
    if entry is None:
        raise call.missing()
    return state.seen(call.served, entry.value)


def list_(api: Api, call: Call, asked: Query) -> Found:
    """One page of a list."""
    selection = Selection(api, call.served, asked.labels, asked.fields)
    source = api.sources.get(call.served.resource.gvr)
    if source is not None:
        made = [e for e in source(call.namespace) if selection.matches(e.key, e.value)]
        return Found(made, api.store.revision)
    revision, after = _start(api, call, asked)
    prefix = prefix_of(call)
    if selection.name and not after and not revision and _one_place(call):
        return _single(api, call, selection)
    try:
        return _pages(api, prefix, selection, asked.limit, after, revision)
    except Compacted:
        raise errors.expired(_EXPIRED if asked.continues else _too_old(api, asked.revision)) from None
    except FutureRevision:
        raise _too_large(revision, api.store.revision) from None


def prefix_of(call: Call) -> str:
    """Where the objects of a list or a watch are."""
    return f"{call.served.prefix}{call.namespace}/" if call.namespace else call.served.prefix


def number(text: str) -> int:
    """A resourceVersion as the number that it is here; 400 for anything else."""
    if not text:
        return 0
    if not text.isdigit():
        raise errors.bad_request(f'Invalid value: "{text}": resourceVersion must be a whole number')
    return int(text)


def reachable(api: Api, revision: int) -> None:
    """504 (as upstream) for a revision that has not happened: it comes from another server or another store."""
    if revision > api.store.revision:
        raise _too_large(revision, api.store.revision)


_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter."
)


def _one_place(call: Call) -> bool:
    return bool(call.namespace) or not call.served.resource.namespaced


def _single(api: Api, call: Call, selection: Selection) -> Found:
    key = prefix_of(call) + selection.name
    entry = api.store.get(key)
    match = entry is not None and selection.matches(key, entry.value)
    return Found([entry] if entry is not None and match else [], api.store.revision)


def _start(api: Api, call: Call, asked: Query) -> tuple[int, str]:
    """The revision to list at (0: the newest) and the key to list after."""
    if asked.continues:
        if asked.revision not in ("", "0"):
            raise errors.bad_request("specifying resource version is not allowed when using continue")
        token = _decode_token(asked.continues)
        return token.rv, call.served.prefix + token.start
    revision = number(asked.revision)
    _check_match(asked)
    if asked.match == "Exact" or (asked.limit and revision and not asked.match):
        return revision, ""
    reachable(api, revision)
    return 0, ""


def _check_match(asked: Query) -> None:
    if not asked.match:
        return
    if not asked.revision:
        why = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif asked.match not in ("Exact", "NotOlderThan"):
        why = f'Unsupported value: "{asked.match}": supported values: "Exact", "NotOlderThan", ""'
    elif asked.match == "Exact" and asked.revision == "0":
        why = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    else:
        return
    reason = "FieldValueForbidden" if why.startswith("Forbidden") else "FieldValueNotSupported"
    cause = Cause(reason, why, "resourceVersionMatch")
    raise errors.invalid("ListOptions", "meta.k8s.io", "", [cause])


def _pages(api: Api, prefix: str, selection: Selection, limit: int, after: str, revision: int) -> Found:
    if selection.everything:
        page = api.store.list(prefix, limit=limit, after=after, revision=revision)
        return Found(page.entries, page.revision, *_rest(prefix, page, page.more))
    found: list[Entry] = []
    while True:
        page = api.store.list(prefix, limit=_CHUNK if limit else 0, after=after, revision=revision)
        revision = page.revision
        for index, entry in enumerate(page.entries):
            if not selection.matches(entry.key, entry.value):
                continue
            found.append(entry)
            if limit and len(found) == limit:
                left = page.more + len(page.entries) - index - 1
                return Found(found, revision, _token(entry, revision) if left else "")
        if not page.more:
            return Found(found, revision)
        after = page.entries[-1].key


def _rest(prefix: str, page: Page, more: int) -> tuple[str, int | None]:
    if not more:
        return "", None
    return _token(page.entries[-1], page.revision), more


def _token(last: Entry, revision: int) -> str:
    start = last.key.split("/", 4)[4]
    token = msgspec.json.encode(_Token("meta.k8s.io/v1", revision, start))
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def _decode_token(text: str) -> _Token:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        token = msgspec.json.decode(data, type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise errors.bad_request("continue key is not valid: it was not made by this server") from None
    if token.v != "meta.k8s.io/v1" or ".." in token.start or token.rv <= 0:
        raise errors.bad_request("continue key is not valid: it was not made by this server")
    return token


def _too_old(api: Api, revision: str) -> str:
    return f"The resourceVersion for the provided list is too old: {revision} (kept: after {api.store.compacted})"


def _too_large(asked: int, current: int) -> errors.StatusError:
    error = errors.timeout(f"Too large resource version: {asked}, current: {current}")
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    error.details = {"causes": [cause], "retryAfterSeconds": 1}
    return error
