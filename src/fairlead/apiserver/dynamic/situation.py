"""Situation: one write, as webhooks and policies see it: the `AdmissionRequest`, the variables of expressions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.dynamic import matching
from fairlead.apiserver.dynamic.authority import Asker
from fairlead.apiserver.dynamic.matching import Match, Subject
from fairlead.apiserver.rbac import Authorizer
from fairlead.apiserver.state import Api, Plain

_NAMESPACES = "/registry/core/namespaces/"
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class Situation:
    """Made for a write that something may concern."""

    def __init__(self, api: Api, review: Review, authorizer: Authorizer) -> None:
        self.api, self.review, self._authorizer = api, review, authorizer
        call = review.call
        resource = call.served.resource
        self.subject = Subject(
            review.operation.value, resource.group, _versions(api, resource.group, resource.plural, resource.version),
            resource.plural, call.subresource, self._namespace_name(), self.name,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The object's name; empty where it is still to be generated."""
        return self.review.call.name or (self.review.obj.get("metadata") or {}).get("name") or ""

    @property
    def object(self) -> Plain | None:
        """The new state; None for a delete."""
        return self.review.obj if self.review.operation is not Operation.DELETE else None

    @property
    def old(self) -> Plain | None:
        """The live state; None for a create."""
        return self.review.old if self.review.operation is not Operation.CREATE else None

    def _namespace_name(self) -> str:
        call = self.review.call
        return self.name if call.served.resource.qualified == "namespaces" else call.namespace

    @cached_property
    def namespace(self) -> Plain | None:
        """The namespace that the request is in (for a Namespace: itself); None for kinds of the cluster."""
        if not self.subject.namespace:
            return None
        if self.subject.plural == "namespaces" and not self.subject.group:
            return self.object or self.old
        entry = self.api.store.get(_NAMESPACES + self.subject.namespace)
        return encoding.decode(entry.value) if entry is not None else None

    def concerns(self, match: Match) -> str | None:
        """The version in which something with that match concerns the request; None when it does not."""
        version = match.version_for(self.subject)
        if version is None:
            return None
        namespace = self.namespace if not match.namespaces.empty else None
        chosen = match.selects(
            matching.labels(namespace) if namespace is not None else None, self.object or {}, self.old or {}
        )
        return version if chosen else None

    def request(self, version: str, uid: str = "") -> Plain:
        """The `AdmissionRequest` without its objects, in that version of the kind."""
        call, subject = self.review.call, self.subject
        resource = call.served.resource
        kind, where = _kind_of(call.served.resource.kind, call.subresource, resource.group)
        told: Plain = {
            "kind": {"group": where, "version": _version_of(call.subresource, version), "kind": kind},
            "resource": {"group": resource.group, "version": version, "resource": resource.plural},
            "requestKind": {"group": where, "version": _version_of(call.subresource, resource.version), "kind": kind},
            "requestResource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        }  # fmt: skip
        if call.subresource:
            told |= {"subResource": call.subresource, "requestSubResource": call.subresource}
        told |= {"name": subject.name} if subject.name else {}
        told |= {"namespace": subject.namespace} if subject.namespace else {}
        told |= {
            "operation": subject.operation, "userInfo": call.user.as_info(), "dryRun": call.dry_run,
            "options": {"kind": _OPTIONS[subject.operation], "apiVersion": "meta.k8s.io/v1", **self._options()},
        }  # fmt: skip
        return {"uid": uid, **told} if uid else told

    def _options(self) -> Plain:
        call = self.review.call
        options: Plain = {"dryRun": ["All"]} if call.dry_run else {}
        if self.review.operation is not Operation.DELETE:
            options |= {"fieldManager": call.manager} if call.manager else {}
        return options

    def in_version(self, obj: Plain | None, version: str) -> Plain | None:
        """An object as another version of its kind shows it (definitions convert by name alone)."""
        if obj is None or version == self.subject.versions[0]:
            return obj
        return {**obj, "apiVersion": f"{self.subject.group}/{version}"}

    def variables(self, version: str) -> dict[str, Any]:
        """What expressions may read."""
        request = self.request(version)
        return {
            "object": self.in_version(self.object, version), "oldObject": self.in_version(self.old, version),
            "request": {**request, "userInfo": _user(request["userInfo"])},
            "authorizer": Asker.of(self._authorizer, self.review.call.user, self.subject),
        }  # fmt: skip


def _user(info: Mapping[str, Any]) -> Plain:
    """A UserInfo with all of its fields, so that expressions need not ask whether they are there."""
    return {"username": "", "uid": "", "groups": [], "extra": {}, **info}


def _kind_of(kind: str, subresource: str, group: str) -> tuple[str, str]:
    return ("Scale", "autoscaling") if subresource == "scale" else (kind, group)


def _version_of(subresource: str, version: str) -> str:
    return "v1" if subresource == "scale" else version


def _versions(api: Api, group: str, plural: str, own: str) -> tuple[str, ...]:
    """The versions that a kind is served in, its own first."""
    return (own, *(v for v in api.catalog.versions(group, plural) if v != own))
