"""PodSecurity: Pods keep to the standards that their namespace's labels ask for.

What is enforced refuses Pods; what is only audited goes into the audit log, what is warned of into Warning headers, and
these two judge templates of Pods as well. A namespace whose enforced level gets stricter warns of the Pods that it has.
The standards themselves are `podsecurity`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fairlead.api.core import NAMESPACES, PODS
from fairlead.api.meta import Resource
from fairlead.apiserver import encoding
from fairlead.apiserver.admission.review import Operation, Review
from fairlead.apiserver.podsecurity import levels
from fairlead.apiserver.podsecurity.levels import Level, Policy
from fairlead.apiserver.podsecurity.spec import Subject, Violation
from fairlead.apiserver.state import Api, Plain
from fairlead.base import errors

MOST_PODS = 3000
"""How many Pods of a namespace are looked at when its level changes."""
_IGNORED = frozenset(("exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"))
_NAMESPACES, _PODS = "/registry/core/namespaces/", "/registry/core/pods/"
_MARK = b'"pod-security.kubernetes.io/'
_TEMPLATES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
}
"""Where kinds have the template of their Pods."""


class _Metadata(msgspec.Struct):
    labels: dict[str, str] = {}


class _Namespace(msgspec.Struct):
    metadata: _Metadata


_decoder = msgspec.json.Decoder(_Namespace)


class PodSecurity:
    name = "PodSecurity"

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        if operation is Operation.DELETE:
            return False
        if resource == PODS:
            return subresource not in _IGNORED
        return not subresource and (resource == NAMESPACES or (resource.group, resource.plural) in _TEMPLATES)

    def admit(self, api: Api, review: Review) -> None:
        """Nothing is changed."""

    def validate(self, api: Api, review: Review) -> None:
        resource = review.call.served.resource
        if resource == NAMESPACES:
            _namespace(api, review)
            return
        entry = api.store.get(_NAMESPACES + review.call.namespace)
        if entry is None or _MARK not in entry.value:
            return
        policy, wrong = levels.read(_decoder.decode(entry.value).metadata.labels)
        if resource == PODS:
            if review.operation is Operation.CREATE or _matters(review.obj["spec"], review.old.get("spec") or {}):
                _judge(review, policy, bool(wrong), _subject(review.obj), enforce=True)
            return
        template: Any = review.obj
        for part in _TEMPLATES[resource.group, resource.plural]:
            template = (template or {}).get(part)
        if template and not (policy.audit.checks_nothing and policy.warn.checks_nothing):
            _judge(review, policy, bool(wrong), _subject(template), enforce=False)


def _judge(review: Review, policy: Policy, wrong: bool, pod: Subject, *, enforce: bool) -> None:
    if policy.checks_nothing and not wrong:
        return
    told, known = review.call.annotations, _Known(pod)
    if wrong:
        told[levels.PREFIX + "error"] = "Failed to parse policy: the namespace's labels are invalid"
    if broken := known.at(policy.audit):
        told[levels.PREFIX + "audit-violations"] = _would(policy.audit, broken)
    if enforce:
        told[levels.PREFIX + "enforce-policy"] = str(policy.enforce)
        if broken := known.at(policy.enforce):
            raise review.forbid(f'violates PodSecurity "{policy.enforce}": {levels.detail(broken)}')
    if broken := known.at(policy.warn):
        review.call.warn(_would(policy.warn, broken))


def _would(level: Level, broken: list[Violation]) -> str:
    return f'would violate PodSecurity "{level}": {levels.detail(broken)}'


class _Known:
    """A Pod's violations by level: modes often ask for the same one."""

    def __init__(self, pod: Subject) -> None:
        self._pod = pod
        self._found: dict[Level, list[Violation]] = {}

    def at(self, level: Level) -> list[Violation]:
        if level not in self._found:
            self._found[level] = levels.evaluate(level, self._pod)
        return self._found[level]


def _subject(obj: Plain) -> Subject:
    return Subject((obj.get("metadata") or {}).get("annotations") or {}, obj.get("spec") or {})


def _matters(new: Plain, old: Plain) -> bool:
    """Is there another image, or another container?"""
    for field in ("containers", "initContainers"):
        if [c.get("image") for c in new.get(field) or ()] != [c.get("image") for c in old.get(field) or ()]:
            return True
    before = {c["name"]: c.get("image") for c in old.get("ephemeralContainers") or ()}
    after = new.get("ephemeralContainers") or ()
    return any(c["name"] not in before or before[c["name"]] != c.get("image") for c in after)


# --- namespaces ----------------------------------------------------------------------------------------------------


def _namespace(api: Api, review: Review) -> None:
    labels, before = _labels(review.obj), _labels(review.old)
    if labels == before:
        return
    policy, wrong = levels.read(labels)
    old, was_wrong = levels.read(before)
    if wrong and wrong != was_wrong:
        raise errors.invalid("Namespace", "", review.obj["metadata"]["name"], wrong)
    new, live = policy.enforce, old.enforce
    relaxed = new.minor == live.minor and new.rank <= live.rank
    if review.operation is Operation.UPDATE and new != live and not new.checks_nothing and not relaxed:
        for warning in _existing(api, review.obj["metadata"]["name"], new):
            review.call.warn(warning)


def _labels(obj: Plain) -> Mapping[str, str]:
    found = (obj.get("metadata") or {}).get("labels") or {}
    return {k: v for k, v in found.items() if k.startswith(levels.PREFIX)}


def _existing(api: Api, namespace: str, level: Level) -> Iterator[str]:
    """What is told of the Pods that are there already."""
    page = api.store.list(f"{_PODS}{namespace}/", limit=MOST_PODS)
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    for entry in page.entries:
        pod = encoding.decode(entry.value)
        broken = levels.evaluate(level, _subject(pod))
        if broken:
            text = levels.reasons(broken)
            count[text] += 1
            first.setdefault(text, pod["metadata"]["name"])
    if page.more:
        yield (
            f"new PodSecurity enforce level only checked against the first {MOST_PODS} of "
            f"{MOST_PODS + page.more} existing pods"
        )
    if count:
        yield f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"'
    yield from sorted(f"{first[text]}{_others(number - 1)}: {text}" for text, number in count.items())


def _others(number: int) -> str:
    return f" (and {number} other pod{'s' if number > 1 else ''})" if number else ""
