"""What is served besides the kinds of the catalog: fixed subresources and kinds that are only ever created.

`status` and `scale` follow from a kind's `Resource`; the rest is one table here, read by discovery and OpenAPI
(and by whoever routes requests), so that nothing is announced that is not served.
"""

from __future__ import annotations

import msgspec

from fairlead.api.meta import Resource
from fairlead.apiserver.catalog import Catalog, Served


class Subresource(msgspec.Struct, frozen=True):
    """`<plural>/<name>` of a kind. `group`, `version` and `kind` are those of the objects it takes and answers."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]
    streams: bool = False
    """It takes the connection over: neither takes nor answers objects; its kind is that of its query."""


class Virtual(msgspec.Struct, frozen=True):
    """A kind without storage: a POST is a question, the answer comes back in the same object."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = False


STATUS_VERBS = ("get", "patch", "update")
CONNECT_VERBS = ("create", "get")

FIXED: dict[tuple[str, str, str], tuple[Subresource, ...]] = {
    ("", "v1", "pods"): (
        Subresource("attach", "", "v1", "PodAttachOptions", CONNECT_VERBS, streams=True),
        Subresource("binding", "", "v1", "Binding", ("create",)),
        Subresource("ephemeralcontainers", "", "v1", "Pod", STATUS_VERBS),
        Subresource("eviction", "policy", "v1", "Eviction", ("create",)),
        Subresource("exec", "", "v1", "PodExecOptions", CONNECT_VERBS, streams=True),
        Subresource("log", "", "v1", "Pod", ("get",)),
        Subresource("portforward", "", "v1", "PodPortForwardOptions", CONNECT_VERBS, streams=True),
    ),
    ("", "v1", "namespaces"): (Subresource("finalize", "", "v1", "Namespace", ("update",)),),
    ("", "v1", "serviceaccounts"): (
        Subresource("token", "authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    ),
}  # fmt: skip

VIRTUAL: tuple[Virtual, ...] = (
    Virtual("", "v1", "bindings", "Binding", namespaced=True),
    Virtual("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview"),
    Virtual("authentication.k8s.io", "v1", "tokenreviews", "TokenReview"),
    Virtual("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
    Virtual("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    Virtual("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    Virtual("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"),
)


def of(served: Served) -> tuple[Subresource, ...]:
    """The subresources of a served kind, by name."""
    resource = served.resource
    found = list(FIXED.get(resource.gvr, ()))
    if resource.status:
        found.append(Subresource("status", resource.group, resource.version, resource.kind, STATUS_VERBS))
    if resource.scale or served.scale is not None:
        found.append(Subresource("scale", "autoscaling", "v1", "Scale", STATUS_VERBS))
    return tuple(sorted(found, key=lambda s: s.name))


def find(group: str, version: str, plural: str) -> Virtual | None:
    """The virtual kind at `/apis/<group>/<version>/<plural>`."""
    return next((v for v in VIRTUAL if (v.group, v.version, v.plural) == (group, version, plural)), None)


def list_kind(served: Served) -> str:
    """The kind of the kind's lists."""
    named = served.crd.spec.names.listKind if served.crd is not None else ""
    return named or f"{served.resource.kind}List"


def in_order(catalog: Catalog, group: str, version: str) -> tuple[Served, ...]:
    """The kinds of one group and version, by plural, as every upstream list orders them."""
    return tuple(
        sorted((s for s in catalog.all() if _at(s.resource) == (group, version)), key=lambda s: s.resource.plural)
    )


def _at(resource: Resource[dict[str, object]]) -> tuple[str, str]:
    return (resource.group, resource.version)
