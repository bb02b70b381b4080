from __future__ import annotations

import pytest

from fairlead.agent import environment
from fairlead.agent.environment import Facts, Missing, Sources
from fairlead.api.core import (
    ConfigMap,
    Container,
    EnvFromSource,
    EnvSourceRef,
    EnvVar,
    EnvVarSource,
    FieldRef,
    KeySelector,
    Pod,
    PodSpec,
    ResourceFieldRef,
    ResourceRequirements,
    Secret,
    Service,
    ServicePort,
    ServiceSpec,
)
from fairlead.api.meta import ObjectMeta

META = ObjectMeta(name="p", namespace="ns", uid="u", labels={"a/b": "x"}, annotations={"k": 'say "hi"'})
POD = Pod(metadata=META, spec=PodSpec(serviceAccountName="sa"))
FACTS = Facts("node", "10.0.0.2", "192.0.2.1", {"cpu": "2", "memory": "1Gi"})
SOURCES = Sources(
    {"cm": ConfigMap(data={"one": "1", "two": "2", "bad key": "!"})}, {"s": Secret(data={"password": "aHVudGVyMg=="})}
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
        ("cost: 5$", "cost: 5$"),
        ("", ""),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert environment.expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", "u"),
        ("metadata.labels['a/b']", "x"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations", 'k="say \\"hi\\""'),
        ("spec.nodeName", "node"),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "10.0.0.2"),
        ("status.hostIP", "192.0.2.1"),
    ],
)
def test_field(path: str, expected: str) -> None:
    assert environment.field(path, POD, FACTS) == expected


def test_unknown_field() -> None:
    with pytest.raises(Missing, match=r"spec\.volumes"):
        environment.field("spec.volumes", POD, FACTS)


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("limits.cpu", "0", "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.memory", "1Mi", "64"),
        ("limits.memory", "1Mi", "1024"),  # Not limited: what the node has.
        ("requests.cpu", "1", "0"),
    ],
)
def test_resource_field(resource: str, divisor: str, expected: str) -> None:
    own = ResourceRequirements(limits={"cpu": "1500m"}, requests={"memory": "64Mi"})
    ref = ResourceFieldRef(resource, divisor=divisor)
    assert environment.resource_field(ref, POD, Container("c", resources=own), FACTS) == expected


def test_variables_in_order() -> None:
    container = Container(
        "c",
        envFrom=[
            EnvFromSource(prefix="CM_", configMapRef=EnvSourceRef("cm")),
            EnvFromSource(secretRef=EnvSourceRef("none", optional=True)),
        ],
        env=[
            EnvVar("PW", valueFrom=EnvVarSource(secretKeyRef=KeySelector("password", "s"))),
            EnvVar("URL", "http://me:$(PW)@$(CM_one)/$(LATER)"),
            EnvVar("LATER", "x"),
            EnvVar("MAYBE", valueFrom=EnvVarSource(configMapKeyRef=KeySelector("none", "cm", optional=True))),
            EnvVar("NAME", valueFrom=EnvVarSource(fieldRef=FieldRef("metadata.name"))),
            EnvVar("PATH", "/mine"),
        ],
    )
    assert environment.variables(POD, container, FACTS, SOURCES, {"PATH": "/bin", "LANG": "C"}) == {
        "PATH": "/mine", "LANG": "C", "CM_one": "1", "CM_two": "2", "PW": "hunter2",
        "URL": "http://me:hunter2@1/$(LATER)", "LATER": "x", "NAME": "p",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (EnvVarSource(configMapKeyRef=KeySelector("k", "none")), 'configmap "none" not found'),
        (EnvVarSource(configMapKeyRef=KeySelector("k", "cm")), "couldn't find key k in configmap cm"),
        (EnvVarSource(secretKeyRef=KeySelector("k", "none")), 'secret "none" not found'),
    ],
)
def test_missing(source: EnvVarSource, message: str) -> None:
    container = Container("c", env=[EnvVar("X", valueFrom=source)])
    with pytest.raises(Missing, match=message):
        environment.variables(POD, container, FACTS, SOURCES, {})


def test_references() -> None:
    container = Container(
        "c", envFrom=[EnvFromSource(configMapRef=EnvSourceRef("a"))],
        env=[EnvVar("X", valueFrom=EnvVarSource(secretKeyRef=KeySelector("k", "b")))],
    )  # fmt: skip
    assert environment.references(Pod(spec=PodSpec(containers=[container]))) == ({"a"}, {"b"})


def test_the_hosts_secrets_stay_with_the_host() -> None:
    host = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "y", "LC_ALL": "C", "HF_TOKEN": "z"}
    assert environment.inherited(host) == {"PATH": "/bin", "LC_ALL": "C"}


def test_service_links() -> None:
    service = Service(
        metadata=ObjectMeta(name="my-db", namespace="ns"),
        spec=ServiceSpec(clusterIP="10.1.1.1", ports=[ServicePort(5432, name="pg-main")]),
    )
    headless = Service(metadata=ObjectMeta(name="h", namespace="ns"), spec=ServiceSpec(clusterIP="None"))
    assert environment.service_links(POD, [service, headless]) == {
        "MY_DB_SERVICE_HOST": "10.1.1.1", "MY_DB_SERVICE_PORT": "5432", "MY_DB_SERVICE_PORT_PG_MAIN": "5432",
        "MY_DB_PORT": "tcp://10.1.1.1:5432", "MY_DB_PORT_5432_TCP": "tcp://10.1.1.1:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp", "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.1.1.1",
    }  # fmt: skip
