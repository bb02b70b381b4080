"""Unmodified kr8s, lightkube and kubernetes_asyncio: their quickstarts, paging, waiting, resumed watches."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing.plane import Plane

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def pod(name: str, namespace: str, command: list[str]) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "command": command}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    meta = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


KR8S = """
import asyncio, sys
import kr8s.asyncio
from kr8s.asyncio.objects import ConfigMap, Pod

async def main(kubeconfig, namespace):
    api = await kr8s.asyncio.api(kubeconfig=kubeconfig, namespace=namespace)
    assert (await api.version())["major"] == "1"
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo hi; sleep 60"]}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    meta = {"name": "kr8s", "namespace": namespace}
    one = await Pod({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, api=api)
    await one.create()
    await one.wait("condition=Ready", timeout=30)
    assert [line async for line in one.logs()] == ["hi"]
    await one.label({"seen": "yes"})
    found = [p.name async for p in api.get("pods", namespace=namespace, label_selector={"seen": "yes"})]
    assert found == ["kr8s"], found
    await one.delete()
    await one.wait("delete", timeout=30)
    for i in range(1050):
        name = f"many-{i:04}"
        box = await ConfigMap({"metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}}, api=api)
        await box.create()
    await box.patch({"data": {"a": "2"}})
    await box.refresh()
    assert box.raw["data"] == {"a": "2"}
    names = [c.name async for c in api.get("configmaps", namespace=namespace) if c.name.startswith("many-")]
    assert len(names) == len(set(names)) == 1050, len(names)
    print("done")

asyncio.run(main(*sys.argv[1:]))
"""


def test_kr8s_creates_waits_reads_logs_deletes_and_pages(plane: Plane, namespace: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", KR8S, str(plane.kubeconfig), namespace]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "done\n", done.stderr


def test_lightkube_applies_waits_and_watches(plane: Plane, namespace: str) -> None:
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.models.core_v1 import Container, PodSpec
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap, Pod

    client = Client(config=KubeConfig.from_file(str(plane.kubeconfig)), namespace=namespace, field_manager="lightkube")
    box = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="box"), data={"a": "1"})
    client.apply(box)
    box.data = {"b": "2"}
    assert client.apply(box).data == {"b": "2"}
    with pytest.raises(ApiError) as conflict:
        client.apply(
            ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="box"), data={"b": "3"}),
            field_manager="other",
        )
    assert conflict.value.status.code == 409
    client.create(
        Pod(
            metadata=ObjectMeta(name="waits"),
            spec=PodSpec(
                restartPolicy="Never", containers=[Container(name="c", image="busybox", command=["echo", "hello"])]
            ),
        )
    )
    client.wait(Pod, "waits", for_conditions=["PodScheduled"])
    for kind, seen in client.watch(Pod, fields={"metadata.name": "waits"}, server_timeout=20):
        if seen.status.phase == "Succeeded":
            break
        assert kind in ("ADDED", "MODIFIED")
    assert list(client.log("waits")) == ["hello\n"]
    client.delete(Pod, "waits")


async def test_kubernetes_asyncio_watches_and_patches(plane: Plane, namespace: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kubernetes_asyncio import client, config, watch
    await config.load_kube_config(config_file=str(plane.kubeconfig))
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        await core.create_namespaced_pod(namespace, pod("asy", namespace, ["sh", "-c", "echo one; echo two"]))
        async with watch.Watch().stream(
            core.list_namespaced_pod, namespace, field_selector="metadata.name=asy", timeout_seconds=30
        ) as events:
            async for event in events:
                if event["object"].status.phase == "Succeeded":
                    break
        assert await core.read_namespaced_pod_log("asy", namespace) == "one\ntwo\n"
        await core.patch_namespaced_pod("asy", namespace, {"metadata": {"labels": {"x": "y"}}})
        assert (await core.read_namespaced_pod("asy", namespace)).metadata.labels["x"] == "y"
        await core.delete_namespaced_pod("asy", namespace)


NEWEST = """
import sys
from kubernetes import client, config

config.load_kube_config(config_file=sys.argv[1])
core = client.CoreV1Api()
body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="newest"), data={"a": "1"})
core.create_namespaced_config_map("default", body)
assert core.read_namespaced_config_map("newest", "default").data == {"a": "1"}
assert core.list_node().items[0].status.capacity["cpu"]
assert core.list_pod_for_all_namespaces() is not None
core.delete_namespaced_config_map("newest", "default")
print("done")
"""


def test_newest_official_client_in_an_environment_of_its_own(plane: Plane, tmp_path: Path) -> None:
    """kubernetes 37 checks types strictly and sends no Content-Type; it cannot share an environment with 35."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "kubernetes>=37,<38"], check=True, timeout=300)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", NEWEST, str(plane.kubeconfig)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr


OPERATOR = """
import kopf

@kopf.on.create("configmaps", labels={"kopf": "yes"})
def made(name, namespace, logger, **_):
    logger.info("made %s", name)
    return "seen"

@kopf.on.update("configmaps", labels={"kopf": "yes"})
def changed(name, diff, logger, **_):
    logger.info("changed %s", name)

@kopf.on.delete("configmaps", labels={"kopf": "yes"})
def gone(name, logger, **_):
    logger.info("gone %s", name)
"""


def test_kopf_operator_handles_create_update_and_delete(plane: Plane, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "operator.py").write_text(OPERATOR)
    command = [sys.executable, "-W", "ignore", "-m", "kopf", "run", str(tmp_path / "operator.py"), "-n", namespace]
    environment = {"KUBECONFIG": str(plane.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    running = subprocess.Popen([*command, "--verbose"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stderr is not None

        def until(words: str) -> None:
            assert running.stderr is not None
            for line in running.stderr:
                if words in line:
                    return
            raise AssertionError(f"the operator ended before it said {words!r}")

        until("Initial authentication has finished")
        plane.kubectl("create", "configmap", "watched", "--from-literal=a=1", "-n", namespace)
        plane.kubectl("label", "configmap", "watched", "kopf=yes", "-n", namespace)
        until("made watched")
        plane.kubectl("patch", "configmap", "watched", "-n", namespace, "-p", '{"data":{"a":"2"}}')
        until("changed watched")
        plane.kubectl("delete", "configmap", "watched", "-n", namespace, "--timeout=30s")
    finally:
        running.terminate()
        running.communicate(timeout=30)
