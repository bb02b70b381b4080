"""ServiceAccount: a Pod runs as a service account, `default` unless it says so, and finds that account's credentials.

The account must exist. (A namespace is made with its `default`, see `companions`.) Unless Pod or account say no, each
container gets a volume at the path where every in-cluster client looks: a token bound to the Pod, the authority's
certificate, the namespace. Containers that mount something there themselves keep it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api.core import PODS
from fairlead.api.meta import Resource
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api, Plain

PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
SECONDS = 3607
"""Validity of the token; the agent renews it when four fifths are over."""
_PREFIX = "/registry/core/serviceaccounts/"
_VOLUME = "kube-api-access-"
_MIRROR = "kubernetes.io/config.mirror"


class _Account(msgspec.Struct):
    automountServiceAccountToken: bool | None = None
    imagePullSecrets: list[dict[str, Any]] = []


_decoder = msgspec.json.Decoder(_Account)


class ServiceAccount:
    name = "ServiceAccount"

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, _Account]] = {}
        """Accounts by key, with the value that they were decoded from."""

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource == PODS and operation is Operation.CREATE and not subresource

    def admit(self, api: Api, review: Review) -> None:
        spec = review.spec
        if _MIRROR in (review.obj["metadata"].get("annotations") or ()):
            return
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = self._account(api, review, name)
        if _mounts(spec, account):
            _mount(api, spec)
        if not spec.get("imagePullSecrets") and account.imagePullSecrets:
            spec["imagePullSecrets"] = [dict(secret) for secret in account.imagePullSecrets]

    def validate(self, api: Api, review: Review) -> None:
        """`admit` has refused already."""

    def _account(self, api: Api, review: Review, name: str) -> _Account:
        key = f"{_PREFIX}{review.call.namespace}/{name}"
        entry = api.store.get(key)
        if entry is None:
            self._known.pop(key, None)
            where = f"{review.call.namespace}/{name}"
            raise review.forbid(f'error looking up service account {where}: serviceaccount "{name}" not found')
        known = self._known.get(key)
        if known is None or known[0] is not entry.value:
            known = self._known[key] = (entry.value, _decoder.decode(entry.value))
        return known[1]


def _mounts(spec: Plain, account: _Account) -> bool:
    """Whether to give credentials: the Pod's word before the account's."""
    own = spec.get("automountServiceAccountToken")
    if own is None:
        own = account.automountServiceAccountToken
    return own is not False


def _mount(api: Api, spec: Plain) -> None:
    volumes = spec.get("volumes") or []
    there = next((v["name"] for v in volumes if v.get("name", "").startswith(_VOLUME)), "")
    name, used = there, False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or []
        if any(m.get("mountPath") == PATH for m in mounts):
            continue
        name = name or _VOLUME + api.chance.suffix()
        container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": PATH}]
        used = True
    if used and not there:
        spec["volumes"] = [*volumes, volume(name)]


def volume(name: str) -> Plain:
    """The volume with a service account's credentials."""
    token = {"expirationSeconds": SECONDS, "path": "token"}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [{"serviceAccountToken": token}, {"configMap": authority}, {"downwardAPI": {"items": [namespace]}}]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
