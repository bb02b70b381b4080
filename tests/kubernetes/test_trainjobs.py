"""TrainJobs: what becomes of them, on the embedded server and on a real one."""

from __future__ import annotations

from fairlead.api.batch import JOBS
from fairlead.api.jobset import JOBSETS
from fairlead.api.trainer import TRAIN_JOBS, TRAINING_RUNTIMES
from fairlead.testing import builders

NETWORK = {"enableDNSHostnames": True, "publishNotReadyAddresses": True}


def runtime(script="", policy=None):
    """A runtime whose JobSet says what JobSet's webhook would add."""
    container = {"name": "node", "image": "torch", "env": [{"name": "FROM", "value": "runtime"}]}
    pod = {
        "metadata": {"annotations": {"fairlead.dev/simulate": script}},
        "spec": {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False},
    }
    template = {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"backoffLimit": 0, "completionMode": "Indexed", "template": pod},
    }
    jobset = {
        "network": NETWORK,
        "startupPolicy": {"startupPolicyOrder": "AnyOrder"},
        "successPolicy": {"operator": "All"},
        "replicatedJobs": [{"name": "node", "template": template}],
    }
    spec = {"mlPolicy": policy or {"numNodes": 1, "torch": {}}, "template": {"spec": jobset}}
    return builders.any_of(TRAINING_RUNTIMES, "torch", spec=spec)


def trainjob(**spec):
    given = {"trainer": {"numNodes": 2, "command": ["python", "train.py"]}} | spec
    return builders.trainjob("digits").runtime("torch", "TrainingRuntime").spec(**given)


async def test_trainjob_completes(world, judge):
    await world.create(runtime("run=0.1s"))
    resources = {"requests": {"cpu": "3", "memory": "1Gi"}}
    wanted = {"numNodes": 2, "image": "mine", "args": ["a"], "env": [{"name": "FROM", "value": "job"}]}
    await world.create(trainjob(trainer=wanted | {"resourcesPerNode": resources}))
    await world.has(TRAIN_JOBS, "digits", "Complete")
    judge("trainjob-complete", await world.outcome())


async def test_trainjob_runs(world, judge):
    await world.create(runtime())
    await world.create(trainjob())
    await world.running(2)
    judge("trainjob-running", await world.outcome())


async def test_trainjob_fails(world, judge):
    await world.create(runtime())
    await world.create(trainjob())
    world.finish((await world.running(2))[1], 1)
    await world.has(TRAIN_JOBS, "digits", "Failed")
    await world.running(0)
    judge("trainjob-failed", await world.outcome())


async def test_trainjob_suspend_and_resume(world, judge):
    await world.create(runtime())
    await world.create(trainjob(suspend=True))
    await world.has(TRAIN_JOBS, "digits", "Suspended")
    await world.has(JOBSETS, "digits", "Suspended")
    judge("trainjob-suspended", await world.outcome())
    await world.change(TRAIN_JOBS, "digits", {"suspend": False})
    await world.running(2)
    await world.change(TRAIN_JOBS, "digits", {"suspend": True})
    await world.running(0)
    await world.has(JOBS, "digits-node-0", "Suspended")
    judge("trainjob-suspended-again", await world.outcome())
    await world.change(TRAIN_JOBS, "digits", {"suspend": False})
    for pod in await world.running(2):
        world.finish(pod)
    await world.has(TRAIN_JOBS, "digits", "Complete")
    judge("trainjob-suspend-resume", await world.outcome())


async def test_trainjob_deadline(world, judge):
    await world.create(runtime())
    await world.create(trainjob(activeDeadlineSeconds=2))
    await world.has(TRAIN_JOBS, "digits", "Failed")
    await world.running(0)
    judge("trainjob-deadline", await world.outcome())


async def test_trainjob_patches_its_runtime(world, judge):
    await world.create(runtime("run=0.1s"))
    mount = {"name": "scratch", "mountPath": "/scratch"}
    pod = {
        "nodeSelector": {"disk": "fast"},
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "containers": [{"name": "node", "volumeMounts": [mount]}],
    }
    replicated = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    template = {"metadata": {"labels": {"team": "red"}}, "spec": {"replicatedJobs": [replicated]}}
    patch = {"manager": "example.com/me", "trainingRuntimeSpec": {"template": template}}
    patch["time"] = "2026-01-01T00:00:00Z"  # else the webhook, which a bare API server lacks, says when
    await world.create(trainjob(runtimePatches=[patch]))
    await world.has(TRAIN_JOBS, "digits", "Complete")
    judge("trainjob-patched", await world.outcome())


async def test_trainjob_of_another_framework(world, judge):
    await world.create(runtime(policy={"mpi": {"numProcPerNode": 2}}))
    await world.create(trainjob())
    await world.has(TRAIN_JOBS, "digits", "Failed")
    judge("trainjob-unsupported", await world.outcome())


async def test_trainjob_is_deleted(world, judge):
    await world.create(runtime())
    await world.create(trainjob())
    await world.running(2)
    await world.delete(TRAIN_JOBS, "digits")

    async def empty():
        return not await world.find(JOBSETS, "digits") and not await world.find(JOBS, "digits-node-0")

    await world.until(empty, "the JobSet to be collected")
    await world.running(0)
    judge("trainjob-deleted", await world.outcome())
