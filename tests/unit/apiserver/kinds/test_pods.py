"""Pods: defaults, rules, what an update may change."""

from __future__ import annotations

from typing import Any

import pytest


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    main = {"name": "c", "image": "python:3.11", **(container or {})}
    return {"metadata": {"name": "p"}, "spec": {"containers": [main], **spec}}


def test_defaults(kinds: Any) -> None:
    named = {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    made = kinds.made("Pod", pod({
        "ports": [{"containerPort": 80}], "env": [named],
        "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}},
        "readinessProbe": {"httpGet": {"port": 80}},
    }, volumes=[{"name": "v"}, {"name": "m", "configMap": {"name": "x"}}]))  # fmt: skip
    assert made["spec"] == {
        "containers": [{
            "name": "c", "image": "python:3.11", "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}}],
            "resources": {
                "limits": {"cpu": "1", "nvidia.com/gpu": "1"}, "requests": {"cpu": "500m", "nvidia.com/gpu": "1"},
            },
            "readinessProbe": {
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                "successThreshold": 1, "failureThreshold": 3,
            },
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "m", "configMap": {"name": "x", "defaultMode": 420}}],
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "securityContext": {}, "enableServiceLinks": True,
    }  # fmt: skip
    assert made["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("x", "Always"),
        ("x:latest", "Always"),
        ("x:1", "IfNotPresent"),
        ("h:5000/x", "Always"),
        ("h:5000/x:1", "IfNotPresent"),
        ("x@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(kinds: Any, image: str, policy: str) -> None:
    assert kinds.made("Pod", pod({"image": image}))["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Mi"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
    ],
)
def test_quality_of_service(kinds: Any, resources: dict[str, Any], quality: str) -> None:
    assert kinds.made("Pod", pod({"resources": resources}))["status"]["qosClass"] == quality


@pytest.mark.parametrize(
    ("container", "wrong"),
    [
        ({"name": ""}, "spec.containers[0].name: Required value"),
        ({"image": ""}, "spec.containers[0].image: Required value"),
        (
            {"imagePullPolicy": "Maybe"},
            (
                'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported '
                'values: "Always", "IfNotPresent", "Never"'
            ),
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            'spec.containers[0].volumeMounts[0].name: Not found: "v"',
        ),
        (
            {"ports": [{"containerPort": 70000}]},
            ("spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"),
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            ('spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
        ),
        (
            {"resources": {"requests": {"cpu": "-1"}}},
            ('spec.containers[0].resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0'),
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": "1"}}},
            ("spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources"),
        ),
        (
            {"resources": {"limits": {"nvidia.com/gpu": "500m"}}},
            ('spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer'),
        ),
        (
            {"env": [{"name": "A=B"}]},
            (
                'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment '
                "variable name must consist only of printable ASCII characters other than '='"
            ),
        ),
        ({"livenessProbe": {}}, "spec.containers[0].livenessProbe: Required value: must specify a handler type"),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_a_containers_rules(kinds: Any, container: dict[str, Any], wrong: str) -> None:
    assert wrong in kinds.create("Pod", pod(container))[1]


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        (
            {"restartPolicy": "Sometimes"},
            ('spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'),
        ),
        (
            {"activeDeadlineSeconds": 0},
            ("spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"),
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
        ({"volumes": [{"name": "v"}, {"name": "v"}]}, 'spec.volumes[1].name: Duplicate value: "v"'),
        (
            {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]},
            (
                'spec.tolerations[0].effect: Invalid value: "NoSchedule": effect must be '
                "'NoExecute' when `tolerationSeconds` is set"
            ),
        ),
        ({"nodeSelector": {"a": "b c"}}, 'spec.nodeSelector: Invalid value: "b c": a valid label'),
        (
            {"schedulingGates": [{"name": "g"}], "nodeName": "n"},
            "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
        ),
        ({"initContainers": [{"name": "c", "image": "x"}]}, 'spec.containers[0].name: Duplicate value: "c"'),
        (
            {"initContainers": [{"name": "i", "image": "x", "readinessProbe": {"exec": {"command": ["a"]}}}]},
            (
                "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init "
                "containers without restartPolicy=Always"
            ),
        ),
    ],
    ids=lambda v: v.split(":")[0] if isinstance(v, str) else "",
)
def test_a_specs_rules(kinds: Any, spec: dict[str, Any], wrong: str) -> None:
    found = kinds.create("Pod", pod(**spec))[1]
    assert any(f.startswith(wrong) for f in found), found


# --- updates -------------------------------------------------------------------------------------------------------


def test_an_image_may_change_and_raises_the_generation(kinds: Any) -> None:
    old = kinds.made("Pod", pod())
    new, wrong = kinds.update("Pod", old, spec__containers__0__image="python:3.12")
    assert (wrong, new["metadata"]["generation"]) == ([], 2)


def test_a_command_may_not_change(kinds: Any) -> None:
    old = kinds.made("Pod", pod())
    _, wrong = kinds.update("Pod", old, spec__containers__0__command=["x"])
    assert len(wrong) == 1
    assert wrong[0].startswith("spec: Forbidden: pod updates may not change fields other than")
    assert wrong[0].endswith("changed: spec.containers")


def test_tolerations_may_be_added_only(kinds: Any) -> None:
    old = kinds.made("Pod", pod(tolerations=[{"key": "a", "operator": "Exists"}]))
    more = [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "Exists"}]
    assert kinds.update("Pod", old, spec__tolerations=more)[1] == []
    assert kinds.update("Pod", old, spec__tolerations=[])[1]


def test_gates_may_be_removed_only_and_free_the_node_selector(kinds: Any) -> None:
    old = kinds.made("Pod", pod(schedulingGates=[{"name": "g"}]))
    assert kinds.update("Pod", old, spec__schedulingGates=[], spec__nodeSelector={"a": "b"})[1] == []
    assert kinds.update("Pod", old, spec__schedulingGates=[{"name": "g"}, {"name": "h"}])[1]
    assert kinds.update("Pod", kinds.made("Pod", pod()), spec__nodeSelector={"a": "b"})[1]


def test_an_update_keeps_the_status_and_a_status_update_the_rest(kinds: Any) -> None:
    old = kinds.made("Pod", pod())
    assert kinds.update("Pod", old, status={"phase": "Failed"})[0]["status"] == old["status"]
    sent = {**old, "spec": {"containers": []}, "status": {"phase": "Running"}}
    new, wrong = kinds.update_status("Pod", old, sent)
    assert (new["spec"], new["status"], wrong) == (old["spec"], {"phase": "Running"}, [])
