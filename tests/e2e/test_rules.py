"""Rules that users set, by unmodified kubectls: Pod Security by labels, policies in CEL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

HOST_POD = """
apiVersion: v1
kind: Pod
metadata: {name: host}
spec: {hostNetwork: true, containers: [{name: c, image: busybox, command: [sleep, "1"]}]}
"""
POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS-few}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  validations:
  - expression: object.spec.replicas <= 5
    messageExpression: "'at most 5 replicas, not ' + string(object.spec.replicas)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS-few}
spec:
  policyName: NS-few
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
"""


def test_pod_security(kubectl: Callable[..., Any], namespace: str) -> None:
    label = "pod-security.kubernetes.io/"
    kubectl("label", "namespace", namespace, f"{label}enforce=baseline", f"{label}warn=restricted")
    refused = kubectl("-n", namespace, "apply", "-f", "-", stdin=HOST_POD, check=False)
    assert 'violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)' in refused.stderr
    private = HOST_POD.replace("hostNetwork: true, ", "")
    warned = kubectl("-n", namespace, "apply", "-f", "-", stdin=private)
    assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in warned.stderr
    strict = kubectl("label", "--overwrite", "namespace", namespace, f"{label}enforce=restricted")
    assert "existing pods in namespace" in strict.stderr
    assert "host: allowPrivilegeEscalation != false" in strict.stderr
    wrong = kubectl("label", "--overwrite", "namespace", namespace, f"{label}enforce=strict", check=False)
    assert "must be one of privileged, baseline, restricted" in wrong.stderr


@pytest.fixture
def few(kubectl: Callable[..., Any], namespace: str) -> Iterator[str]:
    manifest = POLICY.replace("NS", namespace)
    kubectl("apply", "--server-side", "-f", "-", stdin=manifest)
    yield namespace
    kubectl("delete", "-f", "-", stdin=manifest)


def test_a_policy_in_cel(kubectl: Callable[..., Any], few: str) -> None:
    kubectl("-n", few, "create", "deployment", "web", "--image=busybox", "--replicas=0")
    refused = kubectl("-n", few, "scale", "deployment", "web", "--replicas=6", check=False)
    created = kubectl("-n", few, "create", "deployment", "many", "--image=busybox", "--replicas=6", check=False)
    by = f"ValidatingAdmissionPolicy '{few}-few' with binding '{few}-few' denied request: at most 5 replicas, not 6"
    assert by in created.stderr
    assert refused.returncode == 0, "scale is a subresource of its own"
    path = "jsonpath={.spec.matchConstraints.matchPolicy}"
    shown = kubectl("get", "validatingadmissionpolicy", f"{few}-few", "-o", path)
    assert shown.stdout == "Equivalent"
