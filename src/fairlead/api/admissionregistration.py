"""admissionregistration.k8s.io/v1: webhooks and rules in CEL that admit objects or refuse them.

What is in them is read as plain objects by `apiserver.dynamic`; nothing else decides by these kinds.
"""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Object, Resource

GROUP = "admissionregistration.k8s.io"
_DEFINITIONS = "io.k8s.api.admissionregistration.v1."


def _resource(kind: str, plural: str, *, status: bool = False) -> Resource[Object]:
    return Resource(
        GROUP, "v1", kind, plural, Object, singular=kind.lower(), namespaced=False, categories=("api-extensions",),
        status=status, schema=_DEFINITIONS + kind,
    )  # fmt: skip


MUTATING_WEBHOOKS = _resource("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
VALIDATING_WEBHOOKS = _resource("ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
POLICIES = _resource("ValidatingAdmissionPolicy", "validatingadmissionpolicies", status=True)
BINDINGS = _resource("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")

RESOURCES: tuple[Resource[Any], ...] = (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, POLICIES, BINDINGS)
