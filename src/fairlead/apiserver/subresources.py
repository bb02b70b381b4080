"""Subresources that show a part of an object in another form: `scale`, and a Namespace's `finalize`."""

from __future__ import annotations

from typing import Any

from fairlead.apiserver import deletion, encoding, ownership, patches, writes
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors
from fairlead.machinery import selector as selectors
from fairlead.store.mvcc import Delete, Mismatch, Put


def get_scale(api: Api, call: Call) -> bytes:
    """The object's `autoscaling/v1 Scale`."""
    return encoding.encode(_scale(call, api.live(call)[1]))


async def update_scale(api: Api, call: Call, body: Plain) -> Answer:
    """Set the replicas. A resourceVersion in the body is a precondition."""
    return await _change_scale(api, call, lambda _: body)


async def patch_scale(api: Api, call: Call, kind: str, body: Any) -> Answer:
    """Patch the Scale. It has no lists, so that a strategic merge is a merge."""
    how = patches.MERGE if kind in (patches.STRATEGIC, patches.APPLY) else kind
    return await _change_scale(api, call, lambda scale: patches.patched(call, how, scale, body))


async def _change_scale(api: Api, call: Call, make: writes.Make) -> Answer:
    def scaled(live: Plain) -> Plain:
        wanted = make(_scale(call, live))
        live["metadata"]["resourceVersion"] = (wanted.get("metadata") or {}).get("resourceVersion", "")
        replicas = (wanted.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            rule = f"Invalid value: {replicas}: must be a whole number, 0 or more"
            raise errors.invalid("Scale", "autoscaling", call.name, [_cause(rule)])
        _set(live, _path(call, "specReplicasPath"), replicas)
        return live

    answer = await writes.change(api, call, scaled, ownership.updated)
    return Answer(encoding.encode(_scale(call, encoding.decode(answer.value))))


async def finalize(api: Api, call: Call, body: Plain) -> Answer:
    """`PUT namespaces/<name>/finalize`: replaces spec.finalizers. The last one's removal removes the Namespace."""
    pinned = (body.get("metadata") or {}).get("resourceVersion")
    for _ in range(writes.ATTEMPTS):
        entry, live = api.live(call)
        if pinned and pinned != live["metadata"]["resourceVersion"]:
            raise writes.conflict(call)
        live["spec"] = {**live.get("spec", {}), "finalizers": (body.get("spec") or {}).get("finalizers") or []}
        if not live["spec"]["finalizers"]:
            del live["spec"]["finalizers"]
        how = Delete if deletion.released(live, "namespaces") else Put
        try:
            return await writes.write(api, call, live, how, entry)
        except Mismatch:
            continue
    raise writes.conflict(call)


def _scale(call: Call, obj: Plain) -> Plain:
    metadata = obj["metadata"]
    kept = {
        k: metadata[k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if k in metadata
    }
    status: Plain = {"replicas": _at(obj, _path(call, "statusReplicasPath")) or 0}
    selector = _at(obj, _path(call, "labelSelectorPath"))
    if selector:
        status["selector"] = _selector_text(selector)
    spec = {"replicas": _at(obj, _path(call, "specReplicasPath")) or 0}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": spec, "status": status}


def _selector_text(found: Any) -> str:
    """Custom kinds have it as text, built-in ones as a LabelSelector, a ReplicationController as plain labels."""
    if isinstance(found, str):
        return found
    labels: Plain = found
    expressions: list[Plain] = []
    if "matchLabels" in found or "matchExpressions" in found:
        labels, expressions = found.get("matchLabels") or {}, found.get("matchExpressions") or []
    terms = [(key, f"{key}={value}") for key, value in labels.items()]
    terms += [(e["key"], str(selectors.from_requirements([e]))) for e in expressions]
    return ",".join(text for _, text in sorted(terms))


def _path(call: Call, name: str) -> list[str]:
    if call.served.scale is None:
        raise errors.path_not_found()
    return [part for part in getattr(call.served.scale, name).split(".") if part]


def _at(obj: Any, path: list[str]) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj if path else None


def _set(obj: Plain, path: list[str], value: Any) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value


def _cause(rule: str) -> errors.Cause:
    return errors.Cause("FieldValueInvalid", rule, "spec.replicas")
