"""Escalation: nobody grants what they do not hold.

To write a role takes all permissions that are in it, or the verb `escalate` on it; to bind a role takes all of its
permissions, or the verb `bind` on it. An aggregationRule can gather anything, so it takes everything. Group
system:masters is free. A change of finalizers and owners alone is free, so that what is being deleted can go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairlead.api import rbac as kinds
from fairlead.api.meta import Resource
from fairlead.apiserver import identity, privilege
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.rbac import EVERYTHING, Authorizer, Rule
from fairlead.apiserver.requestinfo import RequestInfo
from fairlead.apiserver.state import Api, Plain
from fairlead.base import errors

_ROLES = (kinds.ROLES, kinds.CLUSTER_ROLES)
_FREE = ("managedFields", "finalizers", "ownerReferences", "resourceVersion")


class Escalation:
    name = "RoleEscalation"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        return resource.group == kinds.GROUP and operation is not Operation.DELETE and not subresource

    def admit(self, api: Api, review: Review) -> None:
        """Judge what all other plugins have made of it."""
        user = review.call.user
        if identity.MASTERS in user.groups or _same(review.obj, review.old):
            return
        if review.call.served.resource in _ROLES:
            self._role(review)
        else:
            self._binding(review)

    def validate(self, api: Api, review: Review) -> None:
        """`admit` has refused already: upstream does so before it validates."""

    def _role(self, review: Review) -> None:
        if self._may(review, "escalate", review.call.served.resource.plural, review.call.name):
            return
        self._confirm(review, review.obj.get("rules") or ())
        if review.obj.get("aggregationRule") or review.old.get("aggregationRule"):
            held = self._held(review)
            if privilege.missing(held, EVERYTHING):
                raise review.forbid("must have cluster-admin privileges to use an aggregationRule")

    def _binding(self, review: Review) -> None:
        reference = review.obj.get("roleRef") or {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(kind)
        if plural is not None and self._may(review, "bind", plural, name):
            return
        if plural is None:
            raise errors.internal(f'unsupported role reference kind: "{kind}"')
        rules = self._authorizer.role_rules(kind, review.call.namespace, name)
        if rules is None:
            raise errors.not_found(plural, kinds.GROUP, name)
        self._confirm(review, rules)

    def _may(self, review: Review, verb: str, plural: str, name: str) -> bool:
        info = RequestInfo(verb, "", kinds.GROUP, "v1", review.call.namespace, plural, name)
        return self._authorizer.permits(review.call.user, info)

    def _held(self, review: Review) -> Sequence[Rule]:
        return list(self._authorizer.rules(review.call.user, review.call.namespace))

    def _confirm(self, review: Review, rules: Sequence[Rule]) -> None:
        missing = privilege.missing(self._held(review), rules)
        if missing:
            user = review.call.user
            raise review.forbid(
                f'user "{user.name}" (groups={privilege.quoted(user.groups)}) is attempting to grant RBAC permissions '
                f"not currently held:\n{privilege.described(missing)}"
            )


def _same(new: Plain, old: Plain) -> bool:
    """Has nothing changed but finalizers and owners?"""
    return bool(old) and _substance(new) == _substance(old)


def _substance(obj: Plain) -> Plain:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in _FREE}}
