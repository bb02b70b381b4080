"""LimitRanger: what containers do not ask for is filled in by the namespace's LimitRanges, and what is out of range is
refused: of containers, of whole Pods, and of claims."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.api.core import CLAIMS, PODS
from fairlead.api.meta import Resource
from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.state import Api, Plain
from fairlead.machinery import demand, quantity
from fairlead.machinery.quantity import Quantity

NOTE = "kubernetes.io/limit-ranger"
_PREFIX = "/registry/core/limitranges/"
_FIELDS = ("initContainers", "containers")

Amounts = Mapping[str, Any]


class LimitRanger:
    name = "LimitRanger"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if subresource or operation is Operation.DELETE:
            return False
        return resource == CLAIMS or (resource == PODS and operation is Operation.CREATE)

    def admit(self, api: Api, review: Review) -> None:
        if review.call.served.resource != PODS:
            return
        notes: list[str] = []
        for _, limits in _ranges(api, review):
            for item in limits:
                if item.get("type") == "Container":
                    notes += _fill(review.spec, item)
        if notes:
            annotations = review.obj["metadata"].setdefault("annotations", {})
            annotations[NOTE] = "LimitRanger plugin set: " + "; ".join(notes)

    def validate(self, api: Api, review: Review) -> None:
        broken: list[str] = []
        for _, limits in _ranges(api, review):
            for item in limits:
                broken += _broken(review, item)
        if broken:
            raise review.forbid(broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]")


def _ranges(api: Api, review: Review) -> Iterator[tuple[str, list[Plain]]]:
    for entry in api.store.list(f"{_PREFIX}{review.call.namespace}/").entries:
        found = encoding.decode(entry.value)
        yield found["metadata"]["name"], (found.get("spec") or {}).get("limits") or []


# --- defaults ------------------------------------------------------------------------------------------------------


def _fill(spec: Plain, item: Plain) -> list[str]:
    """Give containers the default requests and limits; answers what was set, in upstream's words."""
    told = []
    for field, kind in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(field) or ():
            resources = container.setdefault("resources", {})
            for way, default in (("request", item.get("defaultRequest")), ("limit", item.get("default"))):
                given = resources.get(f"{way}s") or {}
                missing = {k: v for k, v in (default or {}).items() if k not in given}
                if missing:
                    resources[f"{way}s"] = {**given, **missing}
                    told.append(f"{', '.join(sorted(missing))} {way} for {kind} {container.get('name', '')}")
    return told


# --- ranges --------------------------------------------------------------------------------------------------------


def _broken(review: Review, item: Plain) -> list[str]:
    kind, resource, obj = item.get("type", ""), review.call.served.resource, review.obj
    if resource == CLAIMS:
        if kind != "PersistentVolumeClaim":
            return []
        asked = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        return list(_outside(item, kind, asked, {}))
    spec = review.spec
    if kind == "Container":
        return [text for field in _FIELDS for c in spec.get(field) or () for text in _outside(item, kind, *_amounts(c))]
    if kind == "Pod":
        return list(_outside(item, kind, demand.of_pod(_as(spec, "requests")), demand.of_pod(_as(spec, "limits"))))
    return []


def _amounts(container: Plain) -> tuple[Amounts, Amounts]:
    resources = container.get("resources") or {}
    return resources.get("requests") or {}, resources.get("limits") or {}


def _as(spec: Plain, way: str) -> Plain:
    """The containers, with what they say in one way only, as requests: so that it can be added up."""

    def stripped(container: Plain) -> Plain:
        return {**container, "resources": {"requests": (container.get("resources") or {}).get(way) or {}}}

    return {field: [stripped(c) for c in spec.get(field) or ()] for field in _FIELDS}


def _outside(item: Plain, kind: str, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in sorted((item.get("min") or {}).items()):
        yield from _too_little(
            f"minimum {name} usage per {kind} is {least}", least, (requests.get(name), limits.get(name))
        )
    for name, most in sorted((item.get("max") or {}).items()):
        asked, limit = requests.get(name), limits.get(name)
        if kind == "PersistentVolumeClaim":
            limit = asked
        yield from _too_much(f"maximum {name} usage per {kind} is {most}", most, (asked, limit), kind)
    for name, ratio in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        yield from _too_far(
            f"{name} max limit to request ratio per {kind} is {ratio}", ratio, requests.get(name), limits.get(name)
        )


def _too_little(says: str, least: Any, amounts: tuple[Any, Any]) -> Iterator[str]:
    asked, limit = amounts
    bound = quantity.parse(least)
    if asked is None:
        yield f"{says}. No request is specified"
    elif _value(asked) < bound:
        yield f"{says}, but request is {_text(asked)}"
    elif limit is not None and _value(limit) < bound:
        yield f"{says}, but limit is {_text(limit)}"


def _too_much(says: str, most: Any, amounts: tuple[Any, Any], kind: str) -> Iterator[str]:
    asked, limit = amounts
    bound = quantity.parse(most)
    word = "request" if kind == "PersistentVolumeClaim" else "limit"
    if limit is None:
        yield f"{says}. No {word} is specified"
    elif _value(limit) > bound:
        yield f"{says}, but {word} is {_text(limit)}"
    elif asked is not None and _value(asked) > bound:
        yield f"{says}, but request is {_text(asked)}"


def _too_far(says: str, ratio: Any, asked: Any, limit: Any) -> Iterator[str]:
    if asked is None or _value(asked).nanos == 0:
        yield f"{says}, but no request is specified or request is 0"
    elif limit is None or _value(limit).nanos == 0:
        yield f"{says}, but no limit is specified or limit is 0"
    else:
        found = _value(limit).nanos / _value(asked).nanos
        if found > quantity.parse(ratio).nanos / 1e9:
            yield f"{says}, but provided ratio is {found:f}"


def _value(amount: Any) -> Quantity:
    return amount if isinstance(amount, Quantity) else quantity.parse(amount)


def _text(amount: Any) -> str:
    return str(amount) if isinstance(amount, Quantity) else quantity.canonical(amount)
