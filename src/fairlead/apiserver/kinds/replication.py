"""core/v1 ReplicationController and PodTemplate."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds import apps, metadata, podrules, podspec, workloads
from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes

_zeros, _create = apps.zeros("replicas")


def _default(obj: Obj) -> None:
    """The template's labels are the selector, and the controller's own labels, where there are none."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    podspec.default_template(spec.setdefault("template", {}))
    labels = workloads.labels_of(spec)
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not obj["metadata"].get("labels"):
            obj["metadata"]["labels"] = dict(labels)
    _zeros(obj)


def _rules(obj: Obj) -> Iterator[Cause]:
    spec = spec_of(obj)
    yield from workloads.counts(spec, "spec", "replicas", "minReadySeconds")
    wanted, labels = spec.get("selector"), workloads.labels_of(spec)
    if not wanted:
        yield causes.required("spec.selector")
    elif not wanted.items() <= labels.items():
        detail = "`selector` does not match template `labels`"
        yield causes.invalid("spec.template.metadata.labels", labels, detail)
    yield from workloads.template(spec, "ReplicationController")


def _template_default(obj: Obj) -> None:
    podspec.default_template(obj.setdefault("template", {}))


def _template_rules(obj: Obj) -> Iterator[Cause]:
    found = obj["template"]
    if labels := found["metadata"].get("labels"):
        yield from metadata.check_labels("template.metadata.labels", labels)
    yield from podrules.validate(found["spec"], "template.spec")


WAYS = {
    ("", "replicationcontrollers"): Ways(_default, _rules, create=_create),
    ("", "podtemplates"): Ways(_template_default, _template_rules),
}
