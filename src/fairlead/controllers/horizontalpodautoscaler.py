"""autoscaling HorizontalPodAutoscaler: sizes what it targets by what its Pods use.

Every 15 seconds: read the Pods' metrics, ask each metric of the spec how many Pods there should be, take the most, hold
it back (stabilisation windows, policies, bounds) and set the target's size. A metric that cannot be had never makes
anything smaller. What must be remembered from one look to the next is kept in an annotation of the autoscaler, so that
a restart neither forgets a window nor needs one; it is empty while nothing is held back.

Metrics of resources are read, of Pods and of containers; others (`Pods`, `Object`, `External`) have no source here and
are reported as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from fairlead.api import apps, autoscaling, core
from fairlead.api.autoscaling import AutoscalerStatus, HorizontalPodAutoscaler, Metric, ResourceMetric
from fairlead.api.core import Pod
from fairlead.api.meta import Condition, Key, Resource
from fairlead.api.metrics import POD_METRICS, PodMetrics
from fairlead.base import timestamp
from fairlead.machinery import quantity, selector
from fairlead.reconcile import autoscaling as scaling
from fairlead.reconcile import status as statuses
from fairlead.reconcile.autoscaling import Held, Memory, Proposal, Question, Reading, Unknown
from fairlead.reconcile.reconciler import (
    Change,
    Controller,
    Everywhere,
    Patch,
    Record,
    Referred,
    SetStatus,
    View,
    WakeAt,
)

PERIOD = 15.0
MEMORY = "autoscaling.fairlead.dev/memory"
TARGETS: tuple[Resource[Any], ...] = (
    apps.DEPLOYMENTS, apps.REPLICA_SETS, apps.STATEFUL_SETS, core.REPLICATION_CONTROLLERS,
)  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


def reconcile(view: View[HorizontalPodAutoscaler]) -> Sequence[Change]:
    """See the module's text."""
    found = view.object
    if found is None or found.metadata.deleting:
        return []
    return [*_Pass(found, view).changes(), WakeAt(view.now + PERIOD)]


class _Pass:
    """One look at one autoscaler."""

    def __init__(self, found: HorizontalPodAutoscaler, view: View[HorizontalPodAutoscaler]) -> None:
        self.hpa, self.view, self.now = found, view, view.now
        self.conditions = list(found.status.conditions)
        self.shown: list[dict[str, Any]] = []
        self.memory = _memory(found)

    def changes(self) -> list[Change]:
        target = self._target()
        if target is None:
            ref = self.hpa.spec.scaleTargetRef
            says = f"the HPA controller was unable to get the target's current scale: {ref.kind} {ref.name!r} not found"
            self._say("AbleToScale", "False", "FailedGetScale", says)
            return self._told(self.hpa.status.currentReplicas, self.hpa.status.desiredReplicas)
        says = "the HPA controller was able to get the target's current scale"
        self._say("AbleToScale", "True", "SucceededGetScale", says)
        resource, obj = target
        current = obj.spec.replicas
        if current == 0 and self.hpa.spec.minReplicas != 0:
            says = "scaling is disabled since the replica count of the target is zero"
            self._say("ScalingActive", "False", "ScalingDisabled", says)
            return self._told(current, 0)
        wanted = self._desired(obj, current)
        if wanted is None:
            return self._told(current, self.hpa.status.desiredReplicas)
        desired, why = wanted
        return self._resize(resource, obj, current, desired, why)

    def _target(self) -> tuple[Resource[Any], Any] | None:
        ref = self.hpa.spec.scaleTargetRef
        for resource in TARGETS:
            if (resource.kind, resource.group) == (ref.kind, ref.apiVersion.rpartition("/")[0]):
                obj = self.view.find(resource, Key(self.view.key.namespace, ref.name))
                return (resource, obj) if obj is not None else None
        return None

    # --- what is wanted ---------------------------------------------------------------------------------------------

    def _desired(self, obj: Any, current: int) -> tuple[int, str] | None:
        """The size wanted, and why; None when no metric can say."""
        spec = self.hpa.spec
        if current > spec.maxReplicas:
            return spec.maxReplicas, "Current number of replicas above Spec.MaxReplicas"
        if current < spec.minReplicas:
            return spec.minReplicas, "Current number of replicas below Spec.MinReplicas"
        found = self._ask(self._pods(obj), current)
        if found is None:
            return None
        proposed, name = found
        bounds = (spec.minReplicas, spec.maxReplicas)
        possible = min(max(proposed, bounds[0]), bounds[1])
        self.memory = scaling.remember(self.memory, possible, current, spec.behavior, self.now)
        held = scaling.hold(self.memory, current, proposed, bounds, spec.behavior, self.now)
        self._explain(held)
        why = f"{name} above target" if held.count > current else "All metrics below target"
        return held.count, why

    def _ask(self, pods: Sequence[Pod], current: int) -> tuple[int, str] | None:
        """The largest of the metrics' proposals. One that fails stops only a shrinking."""
        best: tuple[int, str] | None = None
        failure: tuple[str, str] | None = None
        for metric in self.hpa.spec.metrics:
            try:
                proposal, name = self._propose(metric, pods, current)
            except Unknown as wrong:
                failure = failure or (f"FailedGet{_source(metric)}Metric", str(wrong))
                continue
            if best is None or proposal.count > best[0]:
                best = (proposal.count, name)
        if failure is not None and (best is None or best[0] < current):
            says = f"the HPA was unable to compute the replica count: {failure[1]}"
            self._say("ScalingActive", "False", failure[0], says)
            return None
        if best is not None:
            says = f"the HPA was able to successfully calculate a replica count from {best[1]}"
            self._say("ScalingActive", "True", "ValidMetricFound", says)
        return best

    def _propose(self, metric: Metric, pods: Sequence[Pod], current: int) -> tuple[Proposal, str]:
        source = metric.resource if metric.type == "Resource" else metric.containerResource
        if source is None:
            raise Unknown(f"unable to get metrics of type {metric.type}: nothing here serves them")
        readings = self._readings(source)
        if not readings:
            says = f"unable to get metrics for resource {source.name}: no metrics returned from resource metrics API"
            raise Unknown(f"failed to get {source.name} utilization: {says}")
        behavior = scaling.tolerances(self.hpa.spec.behavior)
        asked = Question(source.name, source.target, source.container, behavior)
        proposal = scaling.propose(asked, current, pods, readings, self.now)
        self.shown.append(_shown(metric, source, proposal))
        by = "(percentage of request)" if source.target.averageUtilization is not None else "(average value)"
        return proposal, f"{source.name} {'container ' if source.container else ''}resource utilization {by}"

    def _pods(self, obj: Any) -> list[Pod]:
        chosen: Mapping[str, Any] = obj.spec.selector
        plain = not ({"matchLabels", "matchExpressions"} & chosen.keys())
        wanted = selector.from_labels(chosen) if plain else selector.from_label_selector(chosen)
        return [p for p in self.view.all(core.PODS) if wanted.matches(p.metadata.labels)]

    def _readings(self, source: ResourceMetric) -> dict[str, Reading]:
        found = {}
        for measured in self.view.all(POD_METRICS):
            reading = _reading(measured, source)
            if reading is not None:
                found[measured.metadata.name] = reading
        return found

    # --- what is done -----------------------------------------------------------------------------------------------

    def _resize(self, resource: Resource[Any], obj: Any, current: int, desired: int, why: str) -> list[Change]:
        if desired == current:
            if not self._holds():
                self._say("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
            return self._told(current, desired)
        says = f"the HPA controller was able to update the target scale to {desired}"
        self._say("AbleToScale", "True", "SucceededRescale", says)
        self.memory = scaling.changed(self.memory, desired - current, self.hpa.spec.behavior, self.now)
        patch = Patch(resource, obj.key, {"spec": {"replicas": desired}}, obj.metadata.uid)
        told = f"New size: {desired}; reason: {why}"
        event = Record(autoscaling.AUTOSCALERS, self.hpa, "Normal", "SuccessfulRescale", told)
        return [*self._told(current, desired, rescaled=True), patch, event]

    def _holds(self) -> bool:
        found = statuses.find(self.conditions, "AbleToScale")
        return found is not None and found.reason in ("ScaleUpStabilized", "ScaleDownStabilized")

    def _explain(self, held: Held) -> None:
        if held.stabilized:
            which = "lower" if held.stabilized == "ScaleUpStabilized" else "higher"
            most = "lowest" if which == "lower" else "highest"
            says = f"recent recommendations were {which} than current one, applying the {most} recent recommendation"
            self._say("AbleToScale", "True", held.stabilized, says)
        if held.limit is not None:
            self._say("ScalingLimited", "True", *held.limit)
        else:
            says = "the desired count is within the acceptable range"
            self._say("ScalingLimited", "False", "DesiredWithinRange", says)

    def _say(self, type_: str, status: str, reason: str, message: str) -> None:
        self.conditions = statuses.put(self.conditions, Condition(type_, status, reason, message), self.now)

    def _told(self, current: int, desired: int, *, rescaled: bool = False) -> list[Change]:
        """The status and the memory, as far as they have changed."""
        before = self.hpa.status
        status: AutoscalerStatus = msgspec.structs.replace(
            before,
            currentReplicas=current,
            desiredReplicas=desired,
            currentMetrics=self.shown or None,
            conditions=self.conditions,
            lastScaleTime=timestamp.seconds(self.now) if rescaled else before.lastScaleTime,
        )
        changes: list[Change] = []
        if written := statuses.patch(before, status):
            meta = self.hpa.metadata
            changes.append(SetStatus(autoscaling.AUTOSCALERS, self.hpa.key, written, meta.resourceVersion))
        if self.memory != _memory(self.hpa):
            text = msgspec.json.encode(self.memory).decode() if self.memory != Memory() else None
            patch = {"metadata": {"annotations": {MEMORY: text}}}
            changes.append(Patch(autoscaling.AUTOSCALERS, self.hpa.key, patch, self.hpa.metadata.uid))
        return changes


def _memory(found: HorizontalPodAutoscaler) -> Memory:
    """What is remembered; nothing where somebody has broken it."""
    try:
        return msgspec.json.decode(found.metadata.annotations.get(MEMORY, "{}"), type=Memory)
    except msgspec.DecodeError:
        return Memory()


def _source(metric: Metric) -> str:
    return metric.type or "Resource"


def _reading(measured: PodMetrics, source: ResourceMetric) -> Reading | None:
    """What a Pod uses of a resource; None when one of its containers has no figure."""
    total = 0
    chosen = [c for c in measured.containers if source.container in ("", c.name)]
    for container in chosen:
        amount = container.usage.get(source.name)
        if amount is None:
            return None
        total += quantity.fast_milli(amount)
    if not chosen:
        return None
    return Reading(total, timestamp.parse(measured.timestamp), _seconds(measured.window))


def _seconds(text: str) -> float:
    """A Go duration."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def _shown(metric: Metric, source: ResourceMetric, proposal: Proposal) -> dict[str, Any]:
    """The metric's present value, for the status."""
    field = metric.type[:1].lower() + metric.type[1:]
    unit = 1_000_000  # thousandths to nanos
    current: dict[str, Any] = {"averageValue": str(quantity.Quantity(proposal.average * unit))}
    if proposal.percent is not None:
        current["averageUtilization"] = proposal.percent
    shown: dict[str, Any] = {"name": source.name, "current": current}
    if source.container:
        shown["container"] = source.container
    return {"type": metric.type, field: shown}


def _refers(resource: Resource[Any]) -> Callable[[HorizontalPodAutoscaler], Iterable[Key]]:
    def refs(found: HorizontalPodAutoscaler) -> Iterator[Key]:
        target = found.spec.scaleTargetRef
        if target.kind == resource.kind:
            yield Key(found.metadata.namespace, target.name)

    return refs


def _never(_old: Any, _new: Any) -> bool:
    """The period wakes it, and not every Pod's every change."""
    return False


CONTROLLER = Controller(
    name="horizontal-pod-autoscaler",
    primary=autoscaling.AUTOSCALERS,
    reconcile=reconcile,
    links=(
        *(Referred(kind, _refers(kind)) for kind in TARGETS),
        Everywhere(core.PODS, _never),
        Everywhere(POD_METRICS, _never),
    ),
    embedded=True,
)
