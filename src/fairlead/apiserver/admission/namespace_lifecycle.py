"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is going; some namespaces never go."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.api.core import NAMESPACES
from fairlead.api.meta import Resource
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api
from fairlead.base import errors

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
_PREFIX = "/registry/core/namespaces/"


class _Metadata(msgspec.Struct):
    deletionTimestamp: str | None = None


class _Namespace(msgspec.Struct):
    metadata: _Metadata


_decoder = msgspec.json.Decoder(_Namespace)


class NamespaceLifecycle:
    name = "NamespaceLifecycle"

    def __init__(self) -> None:
        self._alive: dict[str, int] = {}
        """Namespaces known to be neither missing nor going, as of the revision of their last write."""

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if operation is Operation.DELETE:
            return resource == NAMESPACES
        return operation is Operation.CREATE and resource.namespaced

    def admit(self, api: Api, review: Review) -> None:
        if review.operation is Operation.DELETE:
            if review.call.name in IMMORTAL:
                raise review.forbid("this namespace may not be deleted")
            return
        namespace = review.call.namespace
        entry = api.store.get(_PREFIX + namespace)
        if entry is None:
            self._alive.pop(namespace, None)
            raise errors.not_found("namespaces", "", namespace)
        if self._alive.get(namespace) == entry.revision:
            return
        if _decoder.decode(entry.value).metadata.deletionTimestamp is not None:
            raise _terminating(review, namespace)
        self._alive[namespace] = entry.revision

    def validate(self, api: Api, review: Review) -> None:
        """`admit` has refused already."""


def _terminating(review: Review, namespace: str) -> errors.StatusError:
    error = review.forbid(f"unable to create new content in namespace {namespace} because it is being terminated")
    cause = errors.Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
    error.details["causes"] = [cause.as_dict()]
    return error
