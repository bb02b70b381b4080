"""ServiceAccount: a Pod runs as a service account, `default` unless it says so.

One that the Pod names must exist. The namespace's `default` may still be on its way (a controller makes it).
Tokens are not added to Pods that do not ask for one by a projected volume: a process finds its credentials in
KUBECONFIG, not at a path that only a mount namespace could give it.
"""

from __future__ import annotations

from typing import Any

from fairlead.api.core import PODS
from fairlead.api.meta import Resource
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api

_PREFIX = "/registry/core/serviceaccounts/"


class ServiceAccount:
    name = "ServiceAccount"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource == PODS and operation is Operation.CREATE and not subresource

    def admit(self, api: Api, review: Review) -> None:
        spec = review.spec
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name

    def validate(self, api: Api, review: Review) -> None:
        name, namespace = review.spec["serviceAccountName"], review.call.namespace
        if name != "default" and api.store.get(f"{_PREFIX}{namespace}/{name}") is None:
            raise review.forbid(
                f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            )
