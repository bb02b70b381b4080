"""Kinds in two versions: one object, two ways to see and to write it."""

from __future__ import annotations

from typing import Any

from fairlead.api import autoscaling, core, events
from fairlead.api.meta import Key
from fairlead.client.protocol import ListOptions, PatchType
from fairlead.testing.cluster import AS_TEST, Cluster

V1, V2 = autoscaling.AUTOSCALERS_V1.plain, autoscaling.AUTOSCALERS.plain
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def hpa(version: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": "web", "namespace": "default"}
    spec = {"scaleTargetRef": TARGET, "maxReplicas": 3, **spec}
    return {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec}


async def test_an_autoscaler_of_v1_is_stored_as_v2() -> None:
    async with Cluster() as up:
        made = await up.create(hpa("v1", targetCPUUtilizationPercentage=70))
        assert (made["apiVersion"], made["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 70)
        found = await up.get(V2, "web")
        assert found["apiVersion"] == "autoscaling/v2"
        target = {"type": "Utilization", "averageUtilization": 70}
        assert found["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        patch = {"spec": {"targetCPUUtilizationPercentage": 60}}
        await up.client.patch(V1, Key("default", "web"), patch, PatchType.MERGE, AS_TEST)
        found = await up.get(V2, "web")
        assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60


async def test_what_v1_has_no_field_for_travels_in_annotations() -> None:
    async with Cluster() as up:
        memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
        behavior = {"scaleUp": {"stabilizationWindowSeconds": 5}}
        await up.create(hpa("v2", metrics=[{"type": "Resource", "resource": memory}], behavior=behavior))
        before = await up.get(V2, "web")
        shown = await up.get(V1, "web")
        assert "metrics" not in shown["spec"]
        assert "autoscaling.alpha.kubernetes.io/behavior" in shown["metadata"]["annotations"]
        await up.client.patch(V1, Key("default", "web"), {"spec": {"maxReplicas": 9}}, PatchType.MERGE, AS_TEST)
        after = await up.get(V2, "web")
        assert after["spec"] == {**before["spec"], "maxReplicas": 9}
        assert "annotations" not in after["metadata"]


async def test_events_have_two_names_for_their_fields() -> None:
    async with Cluster() as up:
        event = {
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
            "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "hello", "reason": "Said",
            "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "me",
            "reportingInstance": "me-1", "action": "Say",
        }  # fmt: skip
        made = await up.create(event)
        assert made["note"] == "hello"
        old = await up.get(core.EVENTS, "e")
        assert (old.message, old.involvedObject.name) == ("hello", "p")
        listing = await up.client.list(events.EVENTS.plain, "default", ListOptions(fields="regarding.name=p"))
        assert [o["reason"] for o in listing.items] == ["Said"]
        assert not (await up.client.list(events.EVENTS.plain, "default", ListOptions(fields="regarding.name=q"))).items
