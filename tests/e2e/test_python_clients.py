"""Unmodified Python clients: the official one, and Kubeflow's SDK."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from fairlead.testing.plane import Plane

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def official(plane: Plane) -> Iterator[Any]:
    """The `kubernetes` package, configured by the kubeconfig alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kubernetes = pytest.importorskip("kubernetes", reason="make setup-e2e installs the kubernetes client")
        api = kubernetes.config.new_client_from_config(str(plane.kubeconfig))
    yield kubernetes, api
    api.close()


def test_official_client_creates_watches_patches_and_deletes(official: Any) -> None:
    kubernetes, api = official
    core = kubernetes.client.CoreV1Api(api)
    start = core.list_namespaced_config_map("default").metadata.resource_version
    body = kubernetes.client.V1ConfigMap(metadata={"name": "official"}, data={"a": "1"})
    created = core.create_namespaced_config_map("default", body)
    assert created.metadata.uid
    core.patch_namespaced_config_map("official", "default", {"data": {"a": "2", "b": "3"}})
    core.patch_namespaced_config_map("official", "default", [{"op": "remove", "path": "/data/b"}])
    assert core.read_namespaced_config_map("official", "default").data == {"a": "2"}
    core.delete_namespaced_config_map("official", "default")
    seen = []
    watch = kubernetes.watch.Watch()
    for event in watch.stream(core.list_namespaced_config_map, "default", resource_version=start, timeout_seconds=10):
        if event["object"].metadata.name == "official":
            seen.append((event["type"], event["object"].data))
        if event["type"] == "DELETED":
            watch.stop()
    assert seen == [
        ("ADDED", {"a": "1"}),
        ("MODIFIED", {"a": "2", "b": "3"}),
        ("MODIFIED", {"a": "2"}),
        ("DELETED", {"a": "2"}),
    ]


def test_official_client_gets_upstreams_errors(official: Any) -> None:
    kubernetes, api = official
    core = kubernetes.client.CoreV1Api(api)
    with pytest.raises(kubernetes.client.ApiException) as absent:
        core.read_namespaced_pod("absent", "default")
    assert (absent.value.status, absent.value.reason) == (404, "Not Found")
    body = kubernetes.client.V1ConfigMap(metadata={"name": "kept"}, data={"a": "1"}, immutable=True)
    core.create_namespaced_config_map("default", body)
    with pytest.raises(kubernetes.client.ApiException) as immutable:
        core.patch_namespaced_config_map("kept", "default", {"data": {"a": "2"}})
    assert immutable.value.status == 422
    core.delete_namespaced_config_map("kept", "default")


def test_official_client_runs_a_job_and_reads_its_log(official: Any) -> None:
    kubernetes, api = official
    batch, core = kubernetes.client.BatchV1Api(api), kubernetes.client.CoreV1Api(api)
    container = {"name": "c", "image": "busybox", "command": ["echo", "hello"], "resources": {"requests": {"cpu": 0.1}}}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    batch.create_namespaced_job("default", {"metadata": {"name": "official"}, "spec": {"template": template}})
    watch = kubernetes.watch.Watch()
    chosen = {"field_selector": "metadata.name=official", "timeout_seconds": 30}
    for event in watch.stream(batch.list_namespaced_job, "default", **chosen):
        if event["object"].status.succeeded:
            watch.stop()
    pod = core.list_namespaced_pod("default", label_selector="job-name=official").items[0]
    assert core.read_namespaced_pod_log(pod.metadata.name, "default") == "hello\n"
    batch.delete_namespaced_job("official", "default", propagation_policy="Background")


def train() -> None:
    """Runs in the Pods: sums ranks over all nodes."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    total = torch.tensor([dist.get_rank() + 1])
    dist.all_reduce(total)
    print(f"rank {dist.get_rank()} of {dist.get_world_size()} sees {total.item()}", flush=True)
    dist.destroy_process_group()


def test_kubeflow_sdk_trains_on_two_nodes(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("kubeflow", reason="make setup-e2e installs Kubeflow's SDK")
        from kubeflow.common.types import KubernetesBackendConfig
        from kubeflow.trainer import CustomTrainer, TrainerClient
    client = TrainerClient(KubernetesBackendConfig(config_file=str(plane.kubeconfig), namespace="default"))
    runtime = client.get_runtime("torch-distributed")
    assert {"torch-distributed", "plain"} <= {r.name for r in client.list_runtimes()}
    name = client.train(
        runtime=runtime,
        trainer=CustomTrainer(func=train, num_nodes=2, resources_per_node={"cpu": 1}),
    )
    client.wait_for_job_status(name, status={"Running", "Complete"}, timeout=60, polling_interval=1)
    done = client.wait_for_job_status(name, status={"Complete"}, timeout=120, polling_interval=1)
    assert done.status == "Complete"
    assert done.num_nodes == 2
    lines = "\n".join(client.get_job_logs(name, step="node-0"))
    assert "rank 0 of 2 sees 3" in lines
    client.delete_job(name)
    assert name not in {j.name for j in client.list_jobs()}
