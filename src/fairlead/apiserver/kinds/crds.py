"""apiextensions.k8s.io: CustomResourceDefinition: defaults, names and versions, and that schemas are structural.

The status (accepted names, established, stored versions) is the business of `apiserver.crds`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.apiserver.kinds import naming, structural
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

SCOPES = ("Cluster", "Namespaced")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


def _default(crd: Obj) -> None:
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    kind = names.get("kind", "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    spec.setdefault("conversion", {"strategy": "None"})


def _rules(crd: Obj) -> Iterator[Cause]:
    spec = spec_of(crd)
    names, group = spec.get("names", {}), spec.get("group", "")
    wanted = f"{names.get('plural', '')}.{group}"
    if crd["metadata"].get("name") != wanted:
        detail = 'must be spec.names.plural+"."+spec.group'
        yield causes.invalid("metadata.name", crd["metadata"].get("name"), detail)
    yield from _group(group)
    yield from _names(names)
    scope = spec.get("scope", "")
    if scope not in SCOPES:
        yield causes.not_supported("spec.scope", scope, SCOPES) if scope else causes.required("spec.scope")
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        yield causes.invalid("spec.preserveUnknownFields", True, detail)
    yield from _versions(spec.get("versions") or [])
    yield from _conversion(spec)


def _group(group: str) -> Iterator[Cause]:
    if not group:
        yield causes.required("spec.group")
        return
    for complaint in naming.subdomain(group):
        yield causes.invalid("spec.group", group, complaint)
    if "." not in group:
        yield causes.invalid("spec.group", group, "should be a domain with at least one dot")


def _names(names: Obj) -> Iterator[Cause]:
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field, "")
        if not value:
            yield causes.required(f"spec.names.{field}")
            continue
        for complaint in naming.dns1035(value.lower() if field in {"kind", "listKind"} else value):
            yield causes.invalid(f"spec.names.{field}", value, complaint)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field, ())):
            for complaint in naming.dns1035(value):
                yield causes.invalid(f"spec.names.{field}[{index}]", value, complaint)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        detail = "kind and listKind may not be the same"
        yield causes.invalid("spec.names.listKind", names["listKind"], detail)


def _versions(versions: list[Obj]) -> Iterator[Cause]:
    if not versions:
        yield causes.required("spec.versions", "must have at least one version")
        return
    stored = [v for v in versions if v.get("storage")]
    if len(stored) != 1:
        yield causes.invalid("spec.versions", versions, "must have exactly one version marked as storage version")
    seen: set[Any] = set()
    for index, version in enumerate(versions):
        at, name = f"spec.versions[{index}]", version.get("name", "")
        for complaint in naming.dns1035(name):
            yield causes.invalid(f"{at}.name", name, complaint)
        if name in seen:
            yield causes.invalid("spec.versions", name, "must contain unique version names")
        seen.add(name)
        schema = version.get("schema", {}).get("openAPIV3Schema")
        if schema is None:
            yield causes.required(f"{at}.schema.openAPIV3Schema", "schemas are required")
        else:
            yield from structural.problems(schema, f"{at}.schema.openAPIV3Schema")
        yield from _columns(version.get("additionalPrinterColumns") or [], f"{at}.additionalPrinterColumns")


def _columns(columns: list[Obj], path: str) -> Iterator[Cause]:
    for index, column in enumerate(columns):
        at = f"{path}[{index}]"
        for field in ("name", "jsonPath"):
            if not column.get(field):
                yield causes.required(f"{at}.{field}")
        if column.get("type") not in COLUMN_TYPES:
            yield causes.not_supported(f"{at}.type", column.get("type", ""), COLUMN_TYPES)


def _conversion(spec: Obj) -> Iterator[Cause]:
    """A conversion webhook is accepted where there is nothing to convert."""
    strategy = spec.get("conversion", {}).get("strategy")
    if strategy == "Webhook":
        if sum(bool(v.get("served")) for v in spec.get("versions") or []) > 1:
            detail = "conversion webhooks are not called here; serve one version only, or use strategy None"
            yield causes.forbidden("spec.conversion.strategy", detail)
    elif strategy != "None":
        yield causes.not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))


def _transitions(new: Obj, old: Obj) -> Iterator[Cause]:
    after, before = spec_of(new), spec_of(old)
    for field in ("group", "scope"):
        yield from causes.immutable(f"spec.{field}", after.get(field), before.get(field))
    for field in ("plural", "kind"):
        yield from causes.immutable(f"spec.names.{field}", after["names"].get(field), before["names"].get(field))
    served = [v.get("name") for v in after.get("versions", ())]
    for index, stored in enumerate(old.get("status", {}).get("storedVersions", ())):
        if stored not in served:
            detail = "missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions"
            detail = detail.replace("v1", stored, 1)
            yield causes.invalid(f"status.storedVersions[{index}]", stored, detail)


WAYS = {("apiextensions.k8s.io", "customresourcedefinitions"): Ways(_default, _rules, _transitions)}
