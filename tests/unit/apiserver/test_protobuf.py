"""Protobuf bodies: recorded ones (kubectl 1.33), and messages built here field by field."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.apiserver import protobuf
from fairlead.base import errors

GOLDEN = Path(__file__).parents[2] / "golden" / "protobuf"


def varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def body(api_version: str, kind: str, *fields: bytes) -> bytes:
    return b"k8s\x00" + data(1, data(1, api_version) + data(2, kind)) + data(2, b"".join(fields))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.pb")), ids=lambda p: p.stem)
def test_recorded_requests(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())

    assert protobuf.decode(path.read_bytes()) == expected


def pod(*spec: bytes) -> Any:
    return protobuf.decode(body("v1", "Pod", data(2, b"".join(spec))))["spec"]


def test_a_volume_source_is_inline() -> None:
    volume = data(1, "scratch") + data(2, data(2, data(1, "Memory") + data(2, data(1, "64Mi"))))

    assert pod(data(1, volume)) == {
        "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}]
    }  # fmt: skip


def test_quantities_in_maps() -> None:
    limits = data(1, data(1, "cpu") + data(2, data(1, "500m"))) + data(
        1, data(1, "nvidia.com/gpu") + data(2, data(1, "2"))
    )
    container = data(1, "c") + data(8, limits)

    assert pod(data(2, container))["containers"] == [
        {"name": "c", "resources": {"limits": {"cpu": "500m", "nvidia.com/gpu": "2"}}}
    ]


def test_zeros_that_go_writes_are_dropped_and_pointers_kept() -> None:
    spec = data(3, "") + number(11, 0) + number(4, 0) + number(25, -5)

    assert pod(spec) == {"terminationGracePeriodSeconds": 0, "priority": -5}


def test_int_or_string() -> None:
    def probe(port: bytes) -> Any:
        handler = data(2, data(1, "/ok") + data(2, port))
        container = data(1, "c") + data(10, data(1, handler) + number(2, 7))
        return pod(data(2, container))["containers"][0]["livenessProbe"]

    named = probe(number(1, 1) + number(2, 0) + data(3, "http"))
    assert named == {"httpGet": {"path": "/ok", "port": "http"}, "initialDelaySeconds": 7}
    assert probe(number(1, 0) + number(2, 8080) + data(3, ""))["httpGet"]["port"] == 8080


def test_times() -> None:
    metadata = data(1, "l") + data(8, number(1, 1_790_000_000))
    spec = number(2, 15) + data(4, number(1, 1_790_000_000) + number(2, 123_456_789))

    lease = protobuf.decode(body("coordination.k8s.io/v1", "Lease", data(1, metadata), data(2, spec)))

    assert lease["metadata"]["creationTimestamp"] == "2026-09-21T14:13:20Z"
    assert lease["spec"] == {"leaseDurationSeconds": 15, "renewTime": "2026-09-21T14:13:20.123456Z"}


def test_repeated_numbers_packed_or_not() -> None:
    def groups(fields: bytes) -> Any:
        return pod(data(14, fields))["securityContext"]["supplementalGroups"]

    assert groups(number(4, 1) + number(4, 300)) == [1, 300]
    assert groups(data(4, varint(1) + varint(300))) == [1, 300]


TEXT = data(5, "string")  # JSONSchemaProps{type: "string"}


def pair(key: str, value: bytes) -> bytes:
    """An entry of a map."""
    return data(1, key) + data(2, value)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (varint(9 << 3 | 1) + struct.pack("<d", 2.5), {"maximum": 2.5}),
        (data(8, data(1, b'{"x": [1]}')), {"default": {"x": [1]}}),
        (data(8, data(1, b"false")), {"default": False}),
        (data(20, data(1, b'"a"')) + data(20, data(1, b"1")), {"enum": ["a", 1]}),
        (data(24, data(1, TEXT)), {"items": {"type": "string"}}),
        (data(24, data(2, TEXT) + data(2, TEXT)), {"items": [{"type": "string"}, {"type": "string"}]}),
        (data(29, pair("a", TEXT)), {"properties": {"a": {"type": "string"}}}),
        (data(30, number(1, 1)), {"additionalProperties": True}),
        (data(30, number(1, 0)), {"additionalProperties": False}),
        (data(30, number(1, 1) + data(2, TEXT)), {"additionalProperties": {"type": "string"}}),
        (data(32, pair("a", data(2, "b") + data(2, "c"))), {"dependencies": {"a": ["b", "c"]}}),
        (data(32, pair("a", data(1, TEXT))), {"dependencies": {"a": {"type": "string"}}}),
        (number(38, 0) + number(39, 0), {"x-kubernetes-preserve-unknown-fields": False}),
        (data(44, data(1, "self > 0")), {"x-kubernetes-validations": [{"rule": "self > 0"}]}),
    ],
)
def test_json_schemas(fields: bytes, expected: dict[str, Any]) -> None:
    spec = data(1, "example.org") + data(7, data(1, "v1") + data(4, data(1, fields)) + data(5, data(1, b"")))

    crd = protobuf.decode(body("apiextensions.k8s.io/v1", "CustomResourceDefinition", data(2, spec)))

    assert crd["spec"] == {
        "group": "example.org",
        "versions": [{"name": "v1", "schema": {"openAPIV3Schema": expected}, "subresources": {"status": {}}}],
    }


def test_options_of_any_group() -> None:
    found = protobuf.decode(body("batch/v1", "DeleteOptions", number(1, 0), data(4, "Background")))

    assert found == {
        "apiVersion": "batch/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"
    }  # fmt: skip


def test_unknown_fields_are_skipped() -> None:
    assert pod(data(9999, "later"), number(9998, 3), data(10, "n")) == {"nodeName": "n"}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{}", 400),
        (b"k8s\x00", 415),
        (body("example.org/v1", "Thing"), 415),
        (body("v1", "Pod", b"\xff"), 400),
        (body("v1", "Pod", data(2, b"\x52\x7f")), 400),
        (body("v1", "Pod", data(2, data(10, b"\xff\xfe"))), 400),
        (body("v1", "Pod", number(2, 1)), 400),
        (body("v1", "Pod", b"\x0b"), 400),
    ],
)
def test_bad_bodies(bad: bytes, code: int) -> None:
    with pytest.raises(errors.StatusError) as caught:
        protobuf.decode(bad)

    assert caught.value.code == code


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(GOLDEN.glob("*.pb"))), st.integers(0, 400), st.binary(max_size=6))
def test_any_damage_is_a_client_error(path: Path, at: int, damage: bytes) -> None:
    whole = path.read_bytes()
    code = 0
    try:
        protobuf.decode(whole[:at] + damage + whole[at + len(damage) + 1 :])
    except errors.StatusError as error:
        code = error.code
    assert code in (0, 400, 415)
