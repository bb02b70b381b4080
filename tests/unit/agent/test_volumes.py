from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.agent import volumes
from fairlead.agent.environment import Facts, Missing, Sources
from fairlead.agent.runtimes import Mount
from fairlead.agent.volumes import AtomicDirectory, File
from fairlead.api.core import (
    ClaimSource,
    ConfigMap,
    ConfigMapSource,
    Container,
    DownwardFile,
    DownwardSource,
    EmptyDirSource,
    FieldRef,
    HostPathSource,
    KeyToPath,
    LocalSource,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    PersistentVolumeSpec,
    Pod,
    PodSpec,
    ProjectedSource,
    Projection,
    Secret,
    SecretProjection,
    SecretSource,
    TokenProjection,
    Volume,
    VolumeMount,
)
from fairlead.api.meta import ObjectMeta

SOURCES = Sources(
    {"cm": ConfigMap(data={"a": "A", "b": "B"}, binaryData={"c": "AAE="})}, {"s": Secret(data={"k": "dg=="})}
)
POD = Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u", labels={"l": "x"}))


def payload(volume: Volume) -> volumes.Payload:
    return volumes.payload(volume, POD, Facts(), SOURCES, {("aud", 600): "token"})


def test_config_map() -> None:
    assert payload(Volume("v", configMap=ConfigMapSource("cm"))) == {
        "a": File(b"A"), "b": File(b"B"), "c": File(b"\x00\x01"),
    }  # fmt: skip


def test_items_and_modes() -> None:
    source = SecretSource("s", items=[KeyToPath("k", "keys/id", 0o400)], defaultMode=0o440)
    assert payload(Volume("v", secret=source)) == {"keys/id": File(b"v", 0o400)}


def test_projected() -> None:
    sources = [
        Projection(configMap=ConfigMapSource("cm", items=[KeyToPath("a", "one")])),
        Projection(secret=SecretProjection("s")),
        Projection(secret=SecretProjection("none", optional=True)),
        Projection(downwardAPI=DownwardSource([DownwardFile("labels", FieldRef("metadata.labels"))])),
        Projection(serviceAccountToken=TokenProjection("token", "aud", 600)),
    ]
    assert payload(Volume("v", projected=ProjectedSource(sources, 0o600))) == {
        "one": File(b"A", 0o600), "k": File(b"v", 0o600), "labels": File(b'l="x"', 0o600),
        "token": File(b"token", 0o600),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (Volume("v", configMap=ConfigMapSource("none")), 'configmap "none" not found'),
        (Volume("v", configMap=ConfigMapSource("cm", items=[KeyToPath("x", "y")])), "non-existent config key: x"),
        (Volume("v", secret=SecretSource("none")), 'secret "none" not found'),
    ],
)
def test_missing(volume: Volume, message: str) -> None:
    with pytest.raises(Missing, match=message):
        payload(volume)


def test_references() -> None:
    spec = PodSpec(
        volumes=[Volume("a", configMap=ConfigMapSource("cm")), Volume("b", secret=SecretSource("s")), Volume("c")]
    )
    assert volumes.references(Pod(spec=spec)) == ({"cm"}, {"s"}, set())


def test_atomic_directory(tmp_path: Path) -> None:
    directory = AtomicDirectory(str(tmp_path / "v"))
    assert directory.put({"a": File(b"1"), "sub/b": File(b"2", 0o600)})
    assert (tmp_path / "v/a").read_bytes() == b"1"
    assert (tmp_path / "v/sub/b").stat().st_mode & 0o777 == 0o600
    assert not directory.put({"a": File(b"1"), "sub/b": File(b"2", 0o600)}), "nothing changed"
    first = (tmp_path / "v/..data").readlink()
    assert directory.put({"a": File(b"3")})
    assert (tmp_path / "v/..data").readlink() != first
    assert sorted(p.name for p in (tmp_path / "v").iterdir() if not p.name.startswith("..")) == ["a"]
    assert (tmp_path / "v/a").read_bytes() == b"3"
    assert directory.put({})
    assert directory.read() == {}


def test_files_stay_in_their_volume(tmp_path: Path) -> None:
    with pytest.raises(volumes.Refused, match="stay in the volume"):
        AtomicDirectory(str(tmp_path)).put({"../x": File(b"")})


def test_host_path_types(tmp_path: Path) -> None:
    made = tmp_path / "made"
    volumes.check_host_path("v", HostPathSource(str(made), "DirectoryOrCreate"))
    assert made.is_dir()
    volumes.check_host_path("v", HostPathSource(str(tmp_path / "file"), "FileOrCreate"))
    volumes.check_host_path("v", HostPathSource(str(tmp_path / "file"), "File"))
    with pytest.raises(volumes.Refused, match="is not a Directory"):
        volumes.check_host_path("v", HostPathSource(str(tmp_path / "file"), "Directory"))


def test_mounts(tmp_path: Path) -> None:
    pod = Pod(
        metadata=ObjectMeta(uid="u"),
        spec=PodSpec(volumes=[Volume("e", emptyDir=EmptyDirSource()), Volume("c", configMap=ConfigMapSource("cm"))]),
    )
    volumes.make(str(tmp_path), pod, Facts(), SOURCES, {})
    container = Container(
        "m",
        volumeMounts=[
            VolumeMount("e", "/data", subPathExpr="runs/$(NAME)"),
            VolumeMount("c", "/etc/one", subPath="a"),
            VolumeMount("c", "/etc/all"),
        ],
    )
    base = f"{tmp_path.resolve()}/u/volumes"
    mounts = volumes.mounts(str(tmp_path), pod, container, {"NAME": "x"})
    assert mounts[0] == Mount("/data", f"{base}/e/runs/x")
    assert mounts[1].read_only
    assert Path(mounts[1].source).read_bytes() == b"A"
    assert mounts[2] == Mount("/etc/all", f"{tmp_path}/u/volumes/c", read_only=True)
    outside = Container("m", volumeMounts=[VolumeMount("e", "/data", subPath="../c")])
    with pytest.raises(volumes.Refused):
        volumes.mounts(str(tmp_path), pod, outside, {})
    volumes.remove(str(tmp_path), pod)
    assert not list((tmp_path / "u/volumes").iterdir())


def test_volumes_of_other_kinds_wait_with_a_reason(tmp_path: Path) -> None:
    pod = Pod(spec=PodSpec(volumes=[Volume("v")]))  # a view leaves out the source that it does not know, such as nfs
    with pytest.raises(volumes.Refused, match='volume "v" is of a kind that this node cannot mount'):
        volumes.make(str(tmp_path), pod, Facts(), SOURCES, {})


# --- claims

ON_CLAIM = Pod(
    metadata=ObjectMeta(name="p", namespace="ns", uid="u"),
    spec=PodSpec(volumes=[Volume("v", persistentVolumeClaim=ClaimSource("c", readOnly=True))]),
)


def claim(phase: str) -> PersistentVolumeClaim:
    spec = PersistentVolumeClaimSpec(volumeName="pv")
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name="c"), spec=spec, status=PersistentVolumeClaimStatus(phase=phase)
    )


def volume(**spec: object) -> PersistentVolume:
    return PersistentVolume(metadata=ObjectMeta(name="pv"), spec=PersistentVolumeSpec(**spec))  # type: ignore[arg-type]


def test_a_claim_is_the_path_of_its_volume(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    on_node = volume(local=LocalSource(str(tmp_path / "data")))
    pod = volumes.backed(ON_CLAIM, {"c": claim("Bound")}, {"pv": on_node})
    volumes.make(str(tmp_path / "pods"), pod, Facts(), Sources(), {})
    container = Container("c", volumeMounts=[VolumeMount("v", "/data")])
    found = volumes.mounts(str(tmp_path / "pods"), pod, container, {})
    assert found == (Mount("/data", str(tmp_path / "data"), True),)
    volumes.remove(str(tmp_path / "pods"), pod)
    volumes.remove(str(tmp_path / "pods"), ON_CLAIM)
    assert (tmp_path / "data").is_dir()


@pytest.mark.parametrize(
    ("claims", "backing", "message"),
    [
        ({}, {}, 'persistentvolumeclaim "c" not found'),
        ({"c": claim("Pending")}, {}, 'claim "c" is not bound to a volume yet'),
        ({"c": claim("Bound")}, {}, 'persistentvolume "pv" not found'),
        ({"c": claim("Bound")}, {"pv": volume()}, "of a kind that this node cannot mount"),
    ],
)
def test_a_claim_that_cannot_be_mounted(
    claims: dict[str, PersistentVolumeClaim], backing: dict[str, PersistentVolume], message: str
) -> None:
    with pytest.raises((Missing, volumes.Refused), match=message):
        volumes.backed(ON_CLAIM, claims, backing)
