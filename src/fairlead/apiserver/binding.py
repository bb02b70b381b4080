"""Binding: Pods get their nodes, one or a gang of them in one commit.

A Pod is bound once. All bindings of a call are checked against the live Pods and written in one commit, so that a
gang is bound or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api.meta import Key
from fairlead.apiserver import encoding, writes
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors, timestamp
from fairlead.client.protocol import Binding
from fairlead.store.mvcc import Mismatch, Put

_PREFIX = "/registry/core/pods/"
SUCCESS = encoding.encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def bind(api: Api, bindings: Sequence[Binding], annotations: Plain | None = None) -> None:
    """Bind all or none. Raises 404 or 409 for the first Pod that cannot be bound."""
    for _ in range(writes.ATTEMPTS):
        puts = [_bound(api, binding, annotations) for binding in bindings]
        try:
            await api.commit_all(puts)
            return
        except Mismatch:
            continue
    raise errors.conflict("pods", "", str(bindings[0].pod), errors.MODIFIED)


async def create_binding(api: Api, call: Call, obj: Plain) -> Answer:
    """`POST pods/<name>/binding`, and the older `POST bindings` where the body names the Pod."""
    metadata, target = obj.get("metadata") or {}, obj.get("target") or {}
    name = call.name or metadata.get("name") or ""
    if not name or metadata.get("name") not in (None, "", name):
        raise errors.bad_request("name in URL does not match name in Binding object")
    if target.get("kind") not in (None, "", "Node") or not target.get("name"):
        rule = errors.Cause("FieldValueRequired", "Required value: a Binding needs the name of a Node", "target.name")
        raise errors.invalid("Binding", "", name, [rule])
    if not call.dry_run:
        found = Binding(Key(call.namespace, name), target["name"], metadata.get("uid") or "")
        await bind(api, [found], metadata.get("annotations"))
    return Answer(SUCCESS, created=True)


def _bound(api: Api, binding: Binding, annotations: Plain | None) -> Put:
    """The write that puts one Pod on its node."""
    name = binding.pod.name
    entry = api.store.get(f"{_PREFIX}{binding.pod.namespace}/{name}")
    if entry is None:
        raise errors.not_found("pods", "", name)
    pod = encoding.decode(entry.value)
    metadata, spec = pod["metadata"], pod["spec"]
    why = _obstacle(binding, metadata, spec)
    if why:
        raise errors.conflict("pods/binding", "", name, why)
    spec["nodeName"] = binding.node
    if annotations:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    _scheduled(pod.setdefault("status", {}), timestamp.seconds(api.clock.now()))
    return Put(entry.key, encoding.stamped(pod), entry.revision)


def _obstacle(binding: Binding, metadata: Plain, spec: Plain) -> str:
    if binding.uid and binding.uid != metadata["uid"]:
        return f"Precondition failed: UID in precondition: {binding.uid}, UID in object meta: {metadata['uid']}"
    if "deletionTimestamp" in metadata:
        return f"pod {metadata['name']} is being deleted, cannot be assigned to a host"
    if spec.get("nodeName"):
        return f'pod {metadata["name"]} is already assigned to node "{spec["nodeName"]}"'
    if spec.get("schedulingGates"):
        return f"pod {metadata['name']} has non-empty .spec.schedulingGates"
    return ""


def _scheduled(status: Plain, now: str) -> None:
    others = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    status["conditions"] = [*others, scheduled]
