"""DefaultTolerationSeconds: Pods stay for five minutes on a node that is not ready or not reachable."""

from __future__ import annotations

from typing import Any

from fairlead.api.core import PODS
from fairlead.api.meta import Resource
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api

_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SECONDS = 300


class DefaultTolerationSeconds:
    name = "DefaultTolerationSeconds"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource == PODS and operation is not Operation.DELETE and not subresource

    def admit(self, api: Api, review: Review) -> None:
        present = review.spec.get("tolerations") or []
        missing = [t for t in _TAINTS if not any(_tolerates(p, t) for p in present)]
        if missing:
            review.spec["tolerations"] = [*present, *map(_toleration, missing)]

    def validate(self, api: Api, review: Review) -> None:
        """Nothing to refuse."""


def _tolerates(toleration: dict[str, Any], taint: str) -> bool:
    return toleration.get("key", "") in (taint, "") and toleration.get("effect", "") in ("NoExecute", "")


def _toleration(taint: str) -> dict[str, Any]:
    return {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _SECONDS}
