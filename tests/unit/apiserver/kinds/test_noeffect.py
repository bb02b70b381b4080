"""What is accepted and has no effect is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fairlead.api import builtin
from fairlead.api.apiextensions import CustomResourceDefinition
from fairlead.apiserver.kinds import noeffect
from fairlead.machinery import tables
from fairlead.machinery.structure import Structure

POD = ("", "pods")
ROWS = [(row, "") for row in noeffect._POD] + [(row, "container") for row in noeffect._CONTAINER]


def warned(**spec: Any) -> list[str]:
    return list(noeffect.warnings(POD, {"metadata": {}, "spec": spec}))


def below(structure: Structure | None, path: tuple[str, ...]) -> Structure | None:
    for name in path:
        if structure is not None:
            structure = structure.element() if name == "*" else structure.property(name)
    return structure


def whole(place: tuple[str, str]) -> Structure:
    for resource in builtin.RESOURCES:
        if (resource.group, resource.plural) == place:
            return tables.structure(resource.schema)
    for definition in tables.bundled_crds():
        spec = msgspec.convert(definition, CustomResourceDefinition).spec
        if (spec.group, spec.names.plural) == place:
            return tables.custom(spec.versions[0].schema.openAPIV3Schema)
    raise LookupError(place)


@pytest.mark.parametrize(("row", "of"), ROWS, ids=lambda r: ".".join(r.path) if isinstance(r, noeffect.Row) else r)
def test_every_row_names_a_field_that_there_is(row: noeffect.Row, of: str) -> None:
    spec = tables.structure("io.k8s.api.core.v1.PodSpec")
    start = below(spec, ("containers", "*")) if of else spec
    assert below(start, row.path) is not None
    assert row.why


SERVED = {(r.group, r.plural) for r in builtin.RESOURCES}
CUSTOM = {p for p in noeffect._PODS if "." in p[0]}


@pytest.mark.parametrize("place", sorted((noeffect._PODS.keys() & SERVED) | CUSTOM), ids=lambda p: p[1])
def test_every_path_leads_to_pod_specs(place: tuple[str, str]) -> None:
    spec = below(whole(place), noeffect._PODS[place])
    assert spec is not None
    assert spec.property("containers") is not None


def test_an_ordinary_pod_is_not_spoken_of() -> None:
    container = {
        "name": "c",
        "resources": {"limits": {"cpu": 1}},
        "ports": [{"containerPort": 80}],
        "securityContext": {"runAsUser": 1, "allowPrivilegeEscalation": True, "privileged": False},
        "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "None"}],
        "readinessProbe": {"exec": {"command": ["true"]}},
    }
    spec = {
        "containers": [container],
        "securityContext": {"fsGroup": 5},
        "hostUsers": True,
        "hostPID": False,
        "hostIPC": True,
        "imagePullSecrets": [],
        "topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    assert warned(**spec) == []


def test_fields_of_pods_and_containers() -> None:
    container = {"securityContext": {"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}}
    lines = warned(hostPID=True, securityContext={"seccompProfile": {"type": "RuntimeDefault"}}, containers=[container])
    assert [line.partition(":")[0] for line in lines] == [
        "spec.hostPID",
        "spec.securityContext.seccompProfile",
        "spec.containers[0].securityContext.capabilities",
        "spec.containers[0].securityContext.readOnlyRootFilesystem",
    ]
    assert lines[1].endswith(
        "has no effect here: containers are processes, and the process runtime is no security boundary"
    )


def test_a_field_is_told_once() -> None:
    container = {"securityContext": {"privileged": True}}
    (line,) = warned(initContainers=[{}, container], containers=[container, container])
    assert line.startswith("spec.initContainers[1].securityContext.privileged and 2 more: has no effect here: ")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostUsers": False}, "spec.hostUsers"),
        ({"containers": [{"securityContext": {"allowPrivilegeEscalation": False}}]},
         "spec.containers[0].securityContext.allowPrivilegeEscalation"),
        ({"containers": [{"ports": [{}, {"hostPort": 80}]}]}, "spec.containers[0].ports[1].hostPort"),
        ({"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]},
         "spec.topologySpreadConstraints[0].whenUnsatisfiable"),
        ({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}}},
         "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution"),
        ({"volumes": [{"emptyDir": {}}, {"emptyDir": {"sizeLimit": "1Gi"}}]}, "spec.volumes[1].emptyDir.sizeLimit"),
    ],
)  # fmt: skip
def test_when_a_value_asks_for_something(spec: dict[str, Any], path: str) -> None:
    (line,) = warned(**spec)
    assert line.startswith(f"{path}: ")


def test_ports_of_a_pod_on_the_hosts_network_are_the_hosts() -> None:
    assert warned(hostNetwork=True, containers=[{"ports": [{"hostPort": 80}]}]) == []


def test_templates_are_looked_into() -> None:
    job = {"spec": {"template": {"spec": {"hostPID": True}}}}
    jobset = {"spec": {"replicatedJobs": [{"template": {"spec": {"suspend": True}}}, {"template": job}]}}
    (line,) = noeffect.warnings(("batch", "jobs"), job)
    assert line.startswith("spec.template.spec.hostPID: ")
    (line,) = noeffect.warnings(("jobset.x-k8s.io", "jobsets"), jobset)
    assert line.startswith("spec.replicatedJobs[1].template.spec.template.spec.hostPID: ")


def test_kinds_that_nothing_acts_on() -> None:
    place = ("networking.k8s.io", "networkpolicies")
    assert noeffect.concerns(place)
    assert list(noeffect.warnings(place, {"spec": {}})) == [
        "this object has no effect here: no network policy is enforced"
    ]
    assert not noeffect.concerns(("", "configmaps"))
