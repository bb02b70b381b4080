"""Volumes, claims and storage classes."""

from __future__ import annotations

from typing import Any

import pytest

VOLUME = {
    "metadata": {"name": "v"},
    "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/v"}},
}
CLAIM = {
    "metadata": {"name": "c"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
FROZEN = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def changed(obj: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**obj, "spec": {k: v for k, v in {**obj["spec"], **spec}.items() if v is not None}}


def test_a_volume_is_filled_in(kinds: Any) -> None:
    made = kinds.made("PersistentVolume", VOLUME)
    assert made["status"] == {"phase": "Pending"}
    assert made["spec"] == {
        **VOLUME["spec"], "hostPath": {"path": "/tmp/v", "type": ""}, "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"hostPath": None}, "spec: Required value: must specify a volume type"),
        ({"nfs": {"server": "s", "path": "/"}}, "spec.nfs: Forbidden: may not specify more than 1 volume type"),
        ({"capacity": None}, "spec.capacity: Required value"),
        ({"accessModes": None}, "spec.accessModes: Required value: at least 1 access mode is required"),
        ({"hostPath": {"path": "a/../b"}}, "spec.hostPath.path: Invalid value: \"a/../b\": must not contain '..'"),
        (
            {"hostPath": None, "local": {"path": "/x"}},
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ),
    ],
)
def test_what_a_volume_must_have(kinds: Any, spec: dict[str, Any], wrong: str) -> None:
    assert kinds.create("PersistentVolume", changed(VOLUME, **spec))[1] == [wrong]


def test_a_volume_stays_where_it_is(kinds: Any) -> None:
    made = kinds.made("PersistentVolume", VOLUME)
    spec = {**made["spec"], "hostPath": {"path": "/elsewhere"}}
    assert kinds.update("PersistentVolume", made, spec=spec)[1] == [
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
    ]


def test_what_a_claim_must_have(kinds: Any) -> None:
    assert kinds.create("PersistentVolumeClaim", {"metadata": {"name": "c"}})[1] == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
    ]


def test_a_claim_may_be_given_a_volume_and_a_class_once(kinds: Any) -> None:
    made = kinds.made("PersistentVolumeClaim", CLAIM)
    given, wrong = kinds.update("PersistentVolumeClaim", made, spec={**made["spec"], "volumeName": "v"})
    assert not wrong
    given, wrong = kinds.update("PersistentVolumeClaim", given, spec={**given["spec"], "storageClassName": "a"})
    assert not wrong
    for field in ("volumeName", "storageClassName"):
        spec = {**given["spec"], field: "other"}
        assert kinds.update("PersistentVolumeClaim", given, spec=spec)[1] == [f"spec: Forbidden: {FROZEN}"]


@pytest.mark.parametrize(
    ("phase", "size", "wrong"),
    [
        ("Pending", "2Gi", [f"spec: Forbidden: {FROZEN}"]),
        ("Bound", "2Gi", []),
        ("Bound", "1G", ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]),
    ],
)
def test_a_bound_claim_may_grow(kinds: Any, phase: str, size: str, wrong: list[str]) -> None:
    made = kinds.made("PersistentVolumeClaim", CLAIM)
    made["status"] = {"phase": phase}
    spec = {**made["spec"], "resources": {"requests": {"storage": size}}}
    assert kinds.update("PersistentVolumeClaim", made, spec=spec)[1] == wrong


def test_a_class_keeps_its_parameters(kinds: Any) -> None:
    made = kinds.made("StorageClass", {"metadata": {"name": "s"}, "provisioner": "p"})
    assert (made["reclaimPolicy"], made["volumeBindingMode"]) == ("Delete", "Immediate")
    assert kinds.update("StorageClass", made, parameters={"a": "b"})[1] == [
        "parameters: Forbidden: updates to parameters are forbidden."
    ]
    assert kinds.create("StorageClass", {"metadata": {"name": "s"}})[1] == ["provisioner: Required value"]
