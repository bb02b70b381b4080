"""TrainJobs meet their runtimes when they are created, and their patches are dated."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fairlead.api import trainer
from fairlead.api.apiextensions import CRDS
from fairlead.api.meta import Key
from fairlead.apiserver.local import LocalClient
from fairlead.base.errors import StatusError
from fairlead.client.protocol import PatchType
from fairlead.machinery import tables
from fairlead.testing.clock import FakeClock

JOBS = trainer.TRAIN_JOBS.plain
STEP = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
POD = {"containers": [{"name": "node", "image": "python"}]}
NODE = {
    "name": "node",
    "template": {"metadata": {"labels": STEP}, "spec": {"template": {"spec": POD}}},
}
RUNTIME = {"metadata": {"name": "plain"}, "spec": {"template": {"spec": {"replicatedJobs": [NODE]}}}}


@pytest.fixture
async def jobs(client: LocalClient) -> LocalClient:
    for definition in tables.bundled_crds():
        await client.create(CRDS.plain, definition)
    return client


def trainjob(runtime: str = "plain", kind: str = "ClusterTrainingRuntime", **spec: Any) -> dict[str, Any]:
    meta = {"name": "train", "namespace": "default"}
    return {"metadata": meta, "spec": {"runtimeRef": {"name": runtime, "kind": kind}, **copy.deepcopy(spec)}}


def patches(selector: str = "a", container: str = "node") -> list[dict[str, Any]]:
    pod = {"nodeSelector": {"zone": selector}, "containers": [{"name": container}]}
    spec = {"replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": pod}}}}]}
    return [{"manager": "example.com/me", "trainingRuntimeSpec": {"template": {"spec": spec}}}]


@pytest.mark.parametrize(
    ("kind", "absent", "words"),
    [
        ("ClusterTrainingRuntime", "clustertrainingruntimes", "clusterTrainingRuntime"),
        ("TrainingRuntime", "trainingruntimes", "trainingRuntime"),
    ],
)
async def test_the_runtime_must_exist_first(jobs: LocalClient, kind: str, absent: str, words: str) -> None:
    with pytest.raises(StatusError) as refused:
        await jobs.create(JOBS, trainjob(kind=kind))
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")
    (cause,) = refused.value.details["causes"]
    assert cause["field"] == "spec.runtimeRef"
    assert cause["message"].startswith("Invalid value: {")
    assert f'"kind":"{kind}"' in cause["message"]
    assert cause["message"].endswith(
        f'}}: {absent}.trainer.kubeflow.org "plain" not found: specified {words} must be created before the TrainJob '
        "is created"
    )


async def test_a_runtime_of_the_namespace_or_of_the_cluster(jobs: LocalClient) -> None:
    await jobs.create(trainer.CLUSTER_TRAINING_RUNTIMES.plain, copy.deepcopy(RUNTIME))
    await jobs.create(JOBS, trainjob())
    own = copy.deepcopy(RUNTIME)
    own["metadata"]["namespace"] = "default"
    await jobs.create(trainer.TRAINING_RUNTIMES.plain, own)
    job = trainjob(kind="TrainingRuntime")
    job["metadata"]["name"] = "other"
    await jobs.create(JOBS, job)


async def test_what_it_asks_of_its_runtime_must_be_there(jobs: LocalClient) -> None:
    await jobs.create(trainer.CLUSTER_TRAINING_RUNTIMES.plain, copy.deepcopy(RUNTIME))
    with pytest.raises(StatusError, match="must have dataset-initializer job"):
        await jobs.create(JOBS, trainjob(initializer={"dataset": {"storageUri": "hf://a/b"}}))
    with pytest.raises(StatusError, match="container that the runtime's job node does not have"):
        await jobs.create(JOBS, trainjob(runtimePatches=patches(container="other")))


async def test_a_trainjob_outlives_its_runtime(jobs: LocalClient) -> None:
    await jobs.create(trainer.CLUSTER_TRAINING_RUNTIMES.plain, copy.deepcopy(RUNTIME))
    await jobs.create(JOBS, trainjob(suspend=True))
    await jobs.delete(trainer.CLUSTER_TRAINING_RUNTIMES, Key("", "plain"))
    key = Key("default", "train")
    changed = await jobs.patch(JOBS, key, {"spec": {"suspend": False}}, PatchType.MERGE)
    assert changed["spec"]["suspend"] is False


async def test_patches_are_dated_by_the_server(jobs: LocalClient, clock: FakeClock) -> None:
    await jobs.create(trainer.CLUSTER_TRAINING_RUNTIMES.plain, copy.deepcopy(RUNTIME))
    made = await jobs.create(JOBS, trainjob(suspend=True, runtimePatches=patches()))
    first = made["spec"]["runtimePatches"][0]["time"]
    assert first.endswith("Z")
    clock.advance(60)
    key = Key("default", "train")
    same = await jobs.patch(JOBS, key, {"spec": {"runtimePatches": patches()}}, PatchType.MERGE)
    assert same["spec"]["runtimePatches"][0]["time"] == first
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    other = await jobs.patch(JOBS, key, {"spec": {"runtimePatches": patches("b")}}, PatchType.MERGE)
    assert other["spec"]["runtimePatches"][0]["time"] > first
