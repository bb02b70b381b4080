"""Services: a name, an address of its own, and whoever is ready behind it. In every kind of network that there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead.testing import plane as planes
from fairlead.testing.plane import Plane

pytestmark = pytest.mark.e2e

SERVER = """
import http.server, os, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{os.environ['HOSTNAME']} {self.client_address[0]}\\n".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer((socket.gethostbyname(socket.gethostname()), 8080), Answer).serve_forever()
"""
CLIENT = """
import collections, sys, time, urllib.request
url, wanted = sys.argv[1], int(sys.argv[2])
seen, end = collections.Counter(), time.monotonic() + 30
while time.monotonic() < end:
    try:
        name = urllib.request.urlopen(url, timeout=2).read().decode().split()[0]
    except OSError as error:
        seen.clear(); time.sleep(0.05); continue
    seen[name] += 1
    if sum(seen.values()) >= 40 and len(seen) == wanted: break
    if sum(seen.values()) >= 200: seen.clear()
print(" ".join(sorted(seen)))
"""
REFUSED = """
import socket, sys, time
began = time.monotonic()
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
    print("connected")
except ConnectionRefusedError:
    print("refused", time.monotonic() - began < 1)
"""


def container(program: str, *arguments: str) -> dict[str, Any]:
    return {"name": "c", "image": "python", "command": ["python", "-c", program, *arguments]}


def deployment(name: str, replicas: int) -> str:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    server = {**container(SERVER), "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe}
    labels = {"app": name}
    pod = {"containers": [server], "terminationGracePeriodSeconds": 1}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


class Space:
    """One namespace of one control plane."""

    def __init__(self, plane: Plane, name: str) -> None:
        self.plane, self.name = plane, name
        self._count = 0

    def kubectl(self, *arguments: str, **more: Any) -> str:
        return str(self.plane.kubectl("-n", self.name, *arguments, **more).stdout)

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def run(self, program: str, *arguments: str) -> str:
        """What a Pod prints that runs the program to its end."""
        self._count += 1
        name = f"client-{self._count}"
        spec = {"restartPolicy": "Never", "containers": [container(program, *arguments)]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        self.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        return self.kubectl("logs", name).strip()

    def deploy(self, name: str, replicas: int) -> list[str]:
        """The names of the Pods of a Deployment, once they are ready."""
        self.kubectl("apply", "-f", "-", stdin=deployment(name, replicas))
        self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=90s")
        pods = self.json("pods", "-l", f"app={name}")["items"]
        return sorted(p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"])


@pytest.fixture(scope="module", params=["netns", "loopback"])
def networked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    if request.param == "netns" and os.geteuid() != 0:
        pytest.skip("network namespaces need root: run this test as root to test balancing by the kernel")
    folder: Path = tmp_path_factory.mktemp("services")
    config = folder / "config.yaml"
    config.write_text("cpus: 16\n")
    with planes.started(folder / "state", "--network", request.param, "--config", str(config)) as up:
        yield up


@pytest.fixture
def space(networked: Plane) -> Iterator[Space]:
    name = f"web-{os.urandom(3).hex()}"
    networked.kubectl("create", "namespace", name)
    yield Space(networked, name)
    networked.kubectl("delete", "namespace", name, "--timeout=60s")


def test_the_node_says_how_services_are_balanced(networked: Plane) -> None:
    node = json.loads(networked.kubectl("get", "nodes", "-o", "json").stdout)["items"][0]
    expected = {"netns": "nf_tables", "loopback": "proxy"}[node["metadata"]["labels"]["fairlead.dev/network"]]
    assert node["metadata"]["labels"]["fairlead.dev/services"] == expected


def test_a_client_reaches_every_backend_by_name(space: Space) -> None:
    pods = space.deploy("web", 3)
    space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=http")
    assert space.run(CLIENT, "http://web", "3").split() == pods
    assert space.run(CLIENT, f"http://web.{space.name}.svc.cluster.local", "3").split() == pods
    (left,) = space.deploy("web", 1)
    assert space.run(CLIENT, "http://web", "1") == left


def test_without_endpoints_it_refuses_at_once(space: Space) -> None:
    space.kubectl("create", "service", "clusterip", "nobody", "--tcp=80:8080")
    assert space.run(REFUSED, "nobody", "80") == "refused True"
    space.deploy("web", 1)
    space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    assert space.run(CLIENT, "http://web", "1").startswith("web-")
    assert space.run(REFUSED, "web", "81") == "refused True"
    space.deploy("web", 0)
    assert space.run(REFUSED, "web", "80") == "refused True"


def test_shapes_of_services_and_endpoints(space: Space) -> None:
    space.deploy("web", 2)
    space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=http")
    spec = space.json("service", "web")["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": "http"}]
    addresses = sorted(p["status"]["podIP"] for p in space.json("pods", "-l", "app=web")["items"])
    row = space.kubectl("get", "endpoints", "web").splitlines()[-1].split()
    assert row[:2] == ["web", ",".join(f"{a}:8080" for a in addresses)]
    (subset,) = space.json("endpoints", "web")["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == addresses
    assert {a["targetRef"]["kind"] for a in subset["addresses"]} == {"Pod"}
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP"}]
    (slice_,) = space.json("endpointslices", "-l", "kubernetes.io/service-name=web")["items"]
    assert sorted(e["addresses"][0] for e in slice_["endpoints"]) == addresses
    assert slice_["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    shown = space.kubectl("get", "service", "web").splitlines()[1].split()
    assert shown[:5] == ["web", "ClusterIP", spec["clusterIP"], "<none>", "80/TCP"]
    assert f"IP:                       {spec['clusterIP']}" in space.kubectl("describe", "service", "web")


def test_a_client_stays_with_its_backend_if_asked(space: Space) -> None:
    pods = space.deploy("web", 3)
    space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080", "--session-affinity=ClientIP")
    assert space.run(CLIENT, "http://web", "1") in pods


def test_a_port_of_the_node_and_the_address_from_the_host(space: Space) -> None:
    pods = space.deploy("web", 2)
    space.kubectl("expose", "deployment", "web", "--type=NodePort", "--port=80", "--target-port=8080")
    spec = space.json("service", "web")["spec"]
    node = json.loads(space.plane.kubectl("get", "nodes", "-o", "json").stdout)["items"][0]
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    for url in (f"http://{address}:{spec['ports'][0]['nodePort']}", f"http://{spec['clusterIP']}"):
        assert run_here(url, 2) == pods, url


def run_here(url: str, wanted: int) -> list[str]:
    done = subprocess.run([sys.executable, "-c", CLIENT, url, str(wanted)], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_pod_reaches_itself_and_the_api_server_by_their_services(space: Space) -> None:
    space.deploy("web", 1)
    space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    (pod,) = (p["metadata"]["name"] for p in space.json("pods", "-l", "app=web")["items"])
    # A name is known in Pods a moment after its Service: the program tries until then.
    again = (
        "import urllib.request, itertools, time\n"
        "for attempt in itertools.count():\n"
        "    try:\n"
        "        print(urllib.request.urlopen('http://web', timeout=5).read().decode())\n"
        "        break\n"
        "    except OSError:\n"
        "        if attempt == 100: raise\n"
        "        time.sleep(0.1)\n"
    )
    assert space.kubectl("exec", pod, "--", "python", "-c", again).startswith(pod)
    ask = (
        "import ssl, sys, urllib.request\n"
        "context = ssl.create_default_context(cafile=sys.argv[1])\n"
        "print(urllib.request.urlopen('https://kubernetes.default.svc/healthz', context=context, timeout=5).read())"
    )
    authority = str(space.plane.home.path / "pki" / "ca.crt")
    assert space.run(ask, authority) == "b'ok'"


def test_headless_and_external_names(space: Space) -> None:
    space.deploy("web", 2)
    headless = {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]}
    far = {"type": "ExternalName", "externalName": f"peers.{space.name}.svc.cluster.local"}
    for name, spec in (("peers", headless), ("far", far)):
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        space.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    addresses = sorted(p["status"]["podIP"] for p in space.json("pods", "-l", "app=web")["items"])
    ask = (
        "import socket, sys, time\n"
        "for _ in range(100):\n"
        "    try: found = sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 8080, socket.AF_INET)})\n"
        "    except OSError: found = []\n"
        "    if len(found) == 2: break\n"
        "    time.sleep(0.1)\n"
        "print(*found)"
    )
    for name in ("peers", "far"):
        assert space.run(ask, name).split() == addresses


@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel balances only for root: run this test as root")
def test_services_go_on_while_the_control_plane_is_gone(tmp_path: Path) -> None:
    own = Plane(tmp_path / "state")
    own.start()
    try:
        space = Space(own, "default")
        pods = space.deploy("web", 2)
        space.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
        url = f"http://{space.json('service', 'web')['spec']['clusterIP']}"
        assert run_here(url, 2) == pods
        own.kill()
        assert run_here(url, 2) == pods
        own.start()
        (left,) = space.deploy("web", 1)
        assert run_here(url, 1) == [left]
        space.kubectl("delete", "deployment", "web", "--timeout=30s")
    finally:
        own.stop()
