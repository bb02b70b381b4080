"""PodDisruptionBudgets: what is expected, what is healthy, what may go; and evictions that keep to it."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api import apps, core, policy
from fairlead.api.meta import Key
from fairlead.base import timestamp
from fairlead.base.errors import StatusError
from fairlead.client.protocol import WriteOptions
from fairlead.controllers import deployment, disruption, replicaset
from fairlead.reconcile.reconciler import SetStatus, View
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

SET = builders.replica_set("web", 4)
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "x", "namespace": "default"}}


def _eviction() -> WriteOptions:
    return WriteOptions(subresource="eviction")


def budget(**spec: Any) -> Any:
    made = builders.any_of(policy.BUDGETS, "keep", spec={"selector": {"matchLabels": {"app": "web"}}, **spec})
    return made.changed(lambda w: w["metadata"].update(generation=1))


def pod(name: str) -> Any:
    return builders.pod(name).labels(app="web").owned_by(SET).ready()


def status_of(found: Any, *pods: Any, sets: Any = (SET,), now: float = START) -> dict[str, Any]:
    linked: dict[Any, Any] = {
        core.PODS: builders.views(pods), apps.REPLICA_SETS: builders.views(sets), apps.DEPLOYMENTS: [],
        apps.STATEFUL_SETS: [], core.REPLICATION_CONTROLLERS: [],
    }  # fmt: skip
    changes = disruption.reconcile(View(Key("default", "keep"), found.view(), linked, now))
    (told,) = [c for c in changes if isinstance(c, SetStatus)]
    return dict(told.status)


@pytest.mark.parametrize(
    ("spec", "healthy", "expected", "desired", "allowed"),
    [
        ({"minAvailable": 2}, 3, 3, 2, 1),
        ({"minAvailable": "50%"}, 4, 4, 2, 2),
        ({"minAvailable": "51%"}, 4, 4, 3, 1),
        ({"maxUnavailable": 1}, 4, 4, 3, 1),
        ({"maxUnavailable": 1}, 3, 4, 3, 0),
        ({"maxUnavailable": "30%"}, 4, 4, 2, 2),
    ],
)
def test_figures(spec: dict[str, Any], healthy: int, expected: int, desired: int, allowed: int) -> None:
    status = status_of(budget(**spec), *(pod(f"p{i}") for i in range(healthy)))
    counted = {"expectedPods": expected, "desiredHealthy": desired, "currentHealthy": healthy}
    assert {k: v for k, v in status.items() if k in counted} == {k: v for k, v in counted.items() if v}
    assert status.get("disruptionsAllowed", 0) == allowed
    (condition,) = status["conditions"]
    assert condition["reason"] == ("SufficientPods" if allowed else "InsufficientPods")


def test_pods_that_nothing_made_cannot_be_counted_on() -> None:
    alone = builders.pod("alone").labels(app="web").ready()
    (condition,) = status_of(budget(maxUnavailable=1), alone)["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "SyncFailed")


def test_a_granted_eviction_counts_until_it_is_seen() -> None:
    granted = {"p0": timestamp.seconds(START)}
    found = budget(minAvailable=2).status(disruptedPods=granted, disruptionsAllowed=0)
    status = status_of(found, pod("p0"), pod("p1"), pod("p2"), now=START + 60)
    assert status["currentHealthy"] == 2
    assert "disruptionsAllowed" not in status
    assert status_of(found, pod("p0"), pod("p1"), pod("p2"), now=START + 121)["disruptionsAllowed"] == 1


async def test_evictions_keep_to_the_budget() -> None:
    async with Cluster([deployment.CONTROLLER, replicaset.CONTROLLER, disruption.CONTROLLER]) as up:
        await up.apply(builders.deployment("web", 2))
        await up.apply(budget(minAvailable=1))
        await up.run_until_quiet()
        first, second = [p.metadata.name for p in await up.list(core.PODS)]
        await up.client.create(core.PODS.plain, EVICTION, name=first, options=_eviction())
        with pytest.raises(StatusError) as refused:
            await up.client.create(core.PODS.plain, EVICTION, name=second, options=_eviction())
        assert refused.value.code == 429
        assert refused.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
        (cause,) = refused.value.details["causes"]
        assert cause["message"] == "The disruption budget keep needs 1 healthy pods and has 2 currently"
        await up.run_until_quiet()
        assert (await up.get(policy.BUDGETS, "keep")).status.disruptionsAllowed == 1
        await up.client.create(core.PODS.plain, EVICTION, name=second, options=_eviction())
