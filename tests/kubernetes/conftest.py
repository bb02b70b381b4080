"""One script, two API servers: the embedded one, and a real one where `--kubeconfig` names it.

What each of them makes of a script is compared with what a real server made of it when it was recorded
(tests/golden/kubernetes, written by `--record`). So the embedded server is held to real answers without a cluster.

The real server needs its namespace, service account and garbage collector controllers, and no Job controller: that one
is what is tested here, unless `--their-jobs` says that upstream's is there, to record what it does. Nothing is touched
there outside of namespaces named `fairlead-...`, which are deleted again; the bundled definitions are created if they
are absent.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import re
import time
from pathlib import Path

import aiohttp
import pytest

from fairlead.api import batch, core, jobset, trainer
from fairlead.api.apiextensions import CRDS
from fairlead.api.meta import Key
from fairlead.apiserver import app, assembly
from fairlead.apiserver.auth import ADMIN
from fairlead.base.clock import SYSTEM
from fairlead.base.errors import StatusError
from fairlead.client import kubeconfig, tls
from fairlead.client.http import HttpClient
from fairlead.client.protocol import DeleteOptions, PatchType, WriteOptions
from fairlead.client.within import Within
from fairlead.controllers import garbage, job
from fairlead.controllers import jobset as jobsets
from fairlead.controllers import trainjob as trainjobs
from fairlead.machinery import tables
from fairlead.reconcile.manager import Manager
from fairlead.store.memory import MemoryStore
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster
from fairlead.testing.kubelet import SimulatedKubelet

GOLDEN = Path(__file__).parents[1] / "golden" / "kubernetes"
CONTROLLERS = (job.CONTROLLER, jobsets.CONTROLLER, trainjobs.CONTROLLER)
SHOWN = (trainer.TRAIN_JOBS, jobset.JOBSETS, batch.JOBS, core.PODS, core.SERVICES, core.EVENTS)
KINDS = {r.kind: r for r in (*SHOWN, trainer.TRAINING_RUNTIMES)}
NODES = ("pretended-0", "pretended-1")
AS_USER = WriteOptions(manager="user", force=True)
LIMIT = 60.0


def pytest_addoption(parser):
    parser.addoption("--kubeconfig", help="a real Kubernetes API server to compare with")
    parser.addoption("--record", action="store_true", help="write down what the real server answers")
    parser.addoption("--their-jobs", action="store_true", help="the real server runs upstream's Job controller")


def pytest_generate_tests(metafunc):
    """Each test that asks for a `side` runs on the embedded server, and on the real one where there is one."""
    if "side" in metafunc.fixturenames:
        real = metafunc.config.getoption("--kubeconfig", None)
        metafunc.parametrize(
            "side", [pytest.param("real", marks=pytest.mark.kubernetes), "embedded"] if real else ["embedded"]
        )


@pytest.fixture
def connection(request):
    """Where the real server is."""
    return kubeconfig.load(request.config.getoption("--kubeconfig"))


@pytest.fixture
def judge(request, side):
    """`judge("name", outcome)`: is it what was recorded? With `--record` the real server's is what is recorded."""

    def compare(name, outcome):
        path = GOLDEN / f"{name}.json"
        if side == "real" and request.config.getoption("--record"):
            path.write_text(written(outcome))
        golden = json.loads(path.read_text())
        if outcome != golden:
            pytest.fail("\n".join(differences(golden, outcome)), pytrace=False)

    compare.recorded = lambda name: json.loads((GOLDEN / f"{name}.json").read_text())
    return compare


def written(outcome):
    """JSON with one line for each object."""
    parts = []
    for name, rows in outcome.items():
        lines = ",\n".join(json.dumps(row, sort_keys=True) for row in rows)
        parts.append(f"{json.dumps(name)}: [\n{lines}\n]" if rows else f"{json.dumps(name)}: []")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def differences(golden, outcome):
    """What differs, under the names under which it does."""
    for name in [*golden, *(outcome.keys() - golden.keys())]:
        before, after = golden.get(name), outcome.get(name)
        if before != after:
            yield f"--- {name}"
            lines = difflib.unified_diff(spread(before), spread(after), lineterm="", n=3)
            yield from list(lines)[2:]


def spread(rows):
    return json.dumps(rows, indent=1, sort_keys=True).splitlines()


# --- the two worlds of controllers ----------------------------------------------------------------------------------


class World:
    """What a script may do: create, change, wait for something, let Pods end. `client` sees one namespace."""

    def __init__(self, client, namespace):
        self.client, self.namespace = client, namespace

    async def create(self, manifest):
        """Create what a builder builds, in the world's namespace."""
        obj = manifest.manifest() if isinstance(manifest, builders.Builder) else dict(manifest)
        obj["metadata"] = {**obj["metadata"], "namespace": self.namespace}
        return await self.client.create(KINDS[obj["kind"]].plain, obj, AS_USER)

    async def change(self, resource, name, spec):
        """Merge into an object's spec."""
        patch = {"spec": spec}
        return await self.client.patch(resource.plain, Key(self.namespace, name), patch, PatchType.MERGE, AS_USER)

    async def delete(self, resource, name):
        await self.client.delete(resource, Key(self.namespace, name), DeleteOptions(propagation="Background"))

    async def find(self, resource, name):
        """An object, None when there is none."""
        try:
            return await self.client.get(resource, Key(self.namespace, name))
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def pods(self, prefix=""):
        """The Pods whose names begin so, and that are not on their way out."""
        found = (await self.client.list(core.PODS, self.namespace)).items
        return [p for p in found if p.metadata.name.startswith(prefix) and not p.metadata.deleting]

    async def has(self, resource, name, condition, status="True"):
        """Wait for a condition of an object."""

        async def there():
            obj = await self.find(resource, name)
            return obj is not None and any((c.type, c.status) == (condition, status) for c in obj.status.conditions)

        await self.until(there, f"{resource.kind} {name} to be {condition}={status}")

    async def running(self, count, prefix=""):
        """Wait until exactly so many Pods run; answers them, by name."""

        async def there():
            found = [p for p in await self.pods(prefix) if not p.finished]
            return (found,) if len(found) == count and all(p.status.phase == "Running" for p in found) else None

        (found,) = await self.until(there, f"{count} Pods {prefix}* to run")
        return sorted(found, key=lambda p: p.metadata.name)

    async def until(self, there, what):
        raise NotImplementedError

    async def settle(self):
        raise NotImplementedError

    def finish(self, pod, code=0):
        """Let a Pod's container exit."""
        self.kubelet.finish(pod.key, code)
        self.manager.wake(self.kubelet.controller.name, core.PODS, pod.key)

    async def outcome(self):
        """Everything in the namespace, once nothing moves any more, without what differs from run to run."""
        await self.settle()
        found = {}
        for resource in SHOWN:
            found[resource.kind] = (await self.client.list(resource.plain, self.namespace)).items
        return Plainly(found).shown()


class EmbeddedWorld(World):
    """In memory, on a fake clock."""

    def __init__(self, cluster, namespace):
        super().__init__(cluster.client, namespace)
        self.cluster = cluster

    @property
    def kubelet(self):
        return self.cluster.kubelet

    @property
    def manager(self):
        return self.cluster.manager

    async def until(self, there, what):
        end = self.cluster.clock.now() + LIMIT
        while True:
            await self.cluster.run_until_quiet(0)
            if found := await there():
                return found
            due = self.cluster.clock.next_due()
            if due is None or due > end:
                raise AssertionError(f"waited for {what}; {await self.outcome()}")
            await self.cluster.run_until_quiet(due - self.cluster.clock.now())

    async def settle(self):
        await self.cluster.run_until_quiet(0.9)  # as long as a real world is watched


class RealWorld(World):
    """Over HTTP, in real time."""

    def __init__(self, client, namespace, manager, kubelet, pace):
        super().__init__(client, namespace)
        self.manager, self.kubelet, self.pace = manager, kubelet, pace

    async def until(self, there, what):
        return await eventually(there, what)

    async def settle(self):
        """Two looks at a settled manager, with nothing written in between."""
        before = None
        while True:
            await asyncio.sleep(self.pace)
            seen = []
            for resource in SHOWN:
                items = (await self.client.list(resource.plain, self.namespace)).items
                seen.append([o["metadata"]["resourceVersion"] for o in items])
            if self.manager.settled and seen == before:
                return
            before = seen


@pytest.fixture
async def world(request, side):
    """A namespace with controllers and pretended nodes."""
    name = "fairlead-" + re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())
    if side == "embedded":
        async with Cluster([*CONTROLLERS, garbage.CONTROLLER], nodes=len(NODES), bundled=True) as cluster:
            cluster.kubelet.nodes[:] = NODES
            await cluster.create(builders.namespace(name))
            yield EmbeddedWorld(cluster, name)
        return
    client = Within(HttpClient(request.getfixturevalue("connection")), name)
    await install(client)
    # Upstream's Job controller looks at Pods that have changed after a second.
    ours, pace = (CONTROLLERS[1:], 1.5) if request.config.getoption("--their-jobs") else (CONTROLLERS, 0.4)
    async with namespace_of(client, name), managed(client, ours) as (manager, kubelet):
        yield RealWorld(client, name, manager, kubelet, pace)
    await client.close()


@contextlib.asynccontextmanager
async def managed(client, controllers):
    """A manager with the controllers and the pretended nodes' kubelet."""
    kubelet = SimulatedKubelet(NODES)
    manager = Manager(client, SYSTEM, [*controllers, kubelet.controller])
    tasks = [asyncio.create_task(manager.run()), asyncio.create_task(kubelet.bind(client, SYSTEM))]
    try:
        yield manager, kubelet
        assert not any(t.done() for t in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def namespace_of(client, name):
    """A namespace, ready for Pods; emptied and gone at the end."""
    await gone(client, name)
    await client.create(core.NAMESPACES.plain, builders.namespace(name).manifest(), AS_USER)

    async def account():
        return (await client.list(core.SERVICE_ACCOUNTS, name)).items

    await eventually(account, f"a service account in {name}")
    try:
        yield
    finally:
        await forget(client, name)


async def forget(client, name):
    """Delete a namespace. What only our own controllers release (Pods) is released here."""
    await client.delete(core.NAMESPACES, Key("", name))
    for pod in (await client.list(core.PODS, name)).items:
        with contextlib.suppress(StatusError):
            free = {"metadata": {"finalizers": None}}
            await client.patch(core.PODS, pod.key, free, PatchType.MERGE, AS_USER)
            await client.delete(core.PODS, pod.key, DeleteOptions(grace_seconds=0))


async def gone(client, name):
    """Wait until an earlier run's namespace is gone."""

    async def absent():
        if not any(n.metadata.name == name for n in (await client.list(core.NAMESPACES)).items):
            return True
        await forget(client, name)
        return False

    await eventually(absent, f"namespace {name} of an earlier run to go")


async def eventually(there, what):
    """Wait in real time."""
    end = time.monotonic() + LIMIT
    while not (found := await there()):
        assert time.monotonic() < end, f"waited for {what}"
        await asyncio.sleep(0.03)
    return found


async def install(client):
    """The bundled definitions, where they are absent."""
    served = {r.kind for r in await client.resources()}
    wanted = {d["spec"]["names"]["kind"]: d for d in tables.bundled_crds()}
    for kind in wanted.keys() - served:
        with contextlib.suppress(StatusError):
            await client.create(CRDS.plain, wanted[kind], AS_USER)

    async def all_served():
        return not wanted.keys() - {r.kind for r in await client.resources()}

    await eventually(all_served, "the definitions to be served")


# --- what differs from run to run -----------------------------------------------------------------------------------

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NODE = re.compile(r"pretended-\d")
ADDRESS = re.compile(r"10\.\d+\.\d+\.\d+")
REVISION = re.compile(r'(record \(|"resourceVersion\\":\\")\d+')
VOLUME = re.compile(r"kube-api-access-\w{5}")


class Plainly:
    """Objects by kind and name, with marks in place of times, uids, made-up names and addresses."""

    def __init__(self, found):
        self._found = found
        self._names = {}
        for pod in found.get("Pod", ()):
            self._names[pod["metadata"]["name"]] = pod["metadata"]["name"][:-5] + "*****"

    def shown(self):
        shown = {}
        for kind, objects in self._found.items():
            if kind == "Event":
                shown[kind] = sorted({self._event(o) for o in objects if not self._is_chance(o)})
            else:
                plain = sorted((self._object(o) for o in objects), key=lambda o: json.dumps(o, sort_keys=True))
                shown[kind] = plain
        return shown

    def _is_chance(self, event):
        """A Job that is deleted while it runs may or may not get to tell of its end."""
        if event["involvedObject"]["kind"] != "Job" or event["type"] != "Warning":
            return False
        uid, jobs = event["involvedObject"]["uid"], self._found["Job"]
        return not any(
            c["type"] == "Failed"
            for j in jobs
            if j["metadata"]["uid"] == uid
            for c in j["status"].get("conditions", ())
        )

    def _event(self, event):
        about = event["involvedObject"]
        text = f"{about['kind']} {about['name']}: {event['type']} {event['reason']}: {event['message']}"
        return re.sub(r"(pod: [a-z0-9-]+-)[a-z0-9]{5}$", r"\1*****", self._text(text))

    def _object(self, obj):
        meta = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
        return self.plain({**obj, "metadata": meta})

    def answer(self, body):
        """An answer of the API: metadata stays as it is; ages in tables do not."""
        if not isinstance(body, dict):
            return body
        if body.get("details") == {}:
            del body["details"]
        if body.get("kind") == "Table":
            for column in body["columnDefinitions"]:
                del column["description"]
            ages = [i for i, c in enumerate(body["columnDefinitions"]) if c["name"] in ("Age", "Duration")]
            for row in body["rows"]:
                for i in ages:
                    row["cells"][i] = "<age>" if re.fullmatch(r"\d+s", str(row["cells"][i])) else row["cells"][i]
        return self.plain(_unnumbered(body))

    def plain(self, value):
        match value:
            case dict():
                # Go writes times that are not set as null, and a container's last state even when there is none.
                said = {k: v for k, v in value.items() if v is not None and (k, v) != ("lastState", {})}
                return {k: self.plain(v) for k, v in said.items()}
            case list():
                return [self.plain(v) for v in value]
            case str():
                return self._text(value)
            case _:
                return value

    def _text(self, text):
        for name, mark in self._names.items():
            text = text.replace(name, mark)
        for pattern, mark in (
            (TIME, "<time>"),
            (UID, "<uid>"),
            (NODE, "<node>"),
            (ADDRESS, "<ip>"),
            (REVISION, r"\1<revision>"),
            (VOLUME, "<token>"),
        ):
            text = pattern.sub(mark, text)
        return text


def _unnumbered(value):
    """Without resourceVersions, which count everything that happens on a server."""
    match value:
        case dict():
            return {k: "<revision>" if k == "resourceVersion" and v else _unnumbered(v) for k, v in value.items()}
        case list():
            return [_unnumbered(v) for v in value]
        case _:
            return value


# --- plain requests -------------------------------------------------------------------------------------------------


class Http:
    """Requests as kubectl sends them; `{ns}` in a path is the test's namespace."""

    def __init__(self, session, base, namespace):
        self._session, self.base, self.namespace = session, base, namespace

    async def send(self, method, path, body=None, **headers):
        """The answer: code, warnings and body, without what differs from run to run."""
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        given = {"Content-Type": "application/json", "Accept": "application/json"}
        given |= {k.replace("_", "-"): v for k, v in headers.items()}
        url = self.base + path.replace("{ns}", f"namespaces/{self.namespace}")
        async with self._session.request(method, url, data=data, headers=given) as answer:
            text = await answer.text()
            warnings = answer.headers.getall("Warning", [])
            found = json.loads(text) if answer.content_type == "application/json" else text
        shown = {"code": answer.status, "body": Plainly({}).answer(found)}
        return shown | ({"warnings": warnings} if warnings else {})


@pytest.fixture
async def http(request, side):
    """An API server without controllers, and a namespace in it."""
    name = "fairlead-" + re.sub(r"[^a-z0-9]+", "-", request.node.originalname.removeprefix("test_").lower())
    if side == "real":
        connection = request.getfixturevalue("connection")
        client = HttpClient(connection)
        await install(client)
        headers = {"Authorization": f"Bearer {connection.token}", "User-Agent": "kubectl/v1.36.0"}
        connector = aiohttp.TCPConnector(ssl=tls.context_of(connection))
        async with namespace_of(client, name), aiohttp.ClientSession(headers=headers, connector=connector) as session:
            yield Http(session, connection.server, name)
        await client.close()
        return
    store = MemoryStore()
    server = assembly.assemble(store, assembly.Settings(tokens={"secret": ADMIN}))
    await server.start()
    await server.client().create(core.NAMESPACES.plain, builders.namespace(name).manifest())
    runner = await app.serve(server.app, 0, None)
    headers = {"Authorization": "Bearer secret", "User-Agent": "kubectl/v1.36.0"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Http(session, f"http://127.0.0.1:{app.bound_port(runner)}", name)
    await server.close()
    await runner.cleanup()
    await store.close()


@pytest.fixture
def a_namespace():
    """`async with a_namespace(client, name)`: a namespace of the real server."""
    return namespace_of
