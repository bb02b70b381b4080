"""volumes: what a Pod's volumes hold, and where they lie on the host.

`payload` (pure) turns configMap, secret, downwardAPI and projected volumes into files; `AtomicDirectory` puts a whole
set of files in place at once, by the scheme that Kubernetes uses and programs rely on (`..data` is a symbolic link to a
dated directory, the visible names are links through it). A container gets its volumes at their true paths by bind
mounts, which the runtime makes; where it cannot, the agent tells the container in variables where they lie.

A volume on a claim is what the claim's PersistentVolume says (`backed`): a path of this node, whose content is nobody's
here to remove.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from fairlead.agent import environment
from fairlead.agent.environment import Facts, Missing, Sources
from fairlead.agent.runtimes import Mount
from fairlead.api.core import (
    Container,
    DownwardFile,
    HostPathSource,
    KeyToPath,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    Projection,
    TokenProjection,
    Volume,
    VolumeMount,
)

MEMORY = "/dev/shm"  # noqa: S108 - not a temporary file: emptyDir with medium Memory is asked to lie on a tmpfs


class File(msgspec.Struct, frozen=True):
    content: bytes
    mode: int = 0o644


Payload = dict[str, File]
Tokens = Mapping[tuple[str, int], str]
"""Service account tokens by audience and seconds of validity."""


class Refused(Exception):
    """A volume that this node cannot provide. `reason` is the waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


# --- what they refer to, and what they hold (pure) -----------------------------------------------------------------


def projections(volume: Volume) -> Sequence[tuple[Projection, int]]:
    """A volume of files as projections with their default modes."""
    if volume.configMap is not None:
        return ((Projection(configMap=volume.configMap), _mode(volume.configMap.defaultMode)),)
    if volume.secret is not None:
        s = volume.secret
        from_secret = {"name": s.secretName, "items": s.items, "optional": s.optional}
        return ((msgspec.convert({"secret": msgspec.to_builtins(from_secret)}, Projection), _mode(s.defaultMode)),)
    if volume.downwardAPI is not None:
        return ((Projection(downwardAPI=volume.downwardAPI), _mode(volume.downwardAPI.defaultMode)),)
    if volume.projected is not None:
        return [(p, _mode(volume.projected.defaultMode)) for p in volume.projected.sources]
    return ()


def _mode(mode: int | None) -> int:
    return 0o644 if mode is None else mode


def references(pod: Pod) -> tuple[set[str], set[str], set[TokenProjection]]:
    """The names of ConfigMaps and Secrets, and the tokens, that the Pod's volumes are made from."""
    maps: set[str] = set()
    secrets: set[str] = set()
    tokens: set[TokenProjection] = set()
    for volume in pod.spec.volumes:
        for each, _ in projections(volume):
            maps.update([each.configMap.name] if each.configMap else ())
            secrets.update([each.secret.name] if each.secret else ())
            tokens.update([each.serviceAccountToken] if each.serviceAccountToken else ())
    return maps, secrets, tokens


def payload(volume: Volume, pod: Pod, facts: Facts, sources: Sources, tokens: Tokens) -> Payload:
    """The files of a volume. Raises Missing, naming what is not there."""
    files: Payload = {}
    for each, mode in projections(volume):
        files.update(_project(each, mode, pod, facts, sources, tokens))
    return files


def _project(
    each: Projection, mode: int, pod: Pod, facts: Facts, sources: Sources, tokens: Tokens
) -> Iterable[tuple[str, File]]:
    if each.configMap is not None:
        config = sources.config_maps.get(each.configMap.name)
        data = None
        if config is not None:
            data = {k: v.encode() for k, v in config.data.items()}
            data.update((k, environment.decoded(v)) for k, v in config.binaryData.items())
        return _picked(f'configmap "{each.configMap.name}"', each.configMap.items, each.configMap.optional, data, mode)
    if each.secret is not None:
        secret = sources.secrets.get(each.secret.name)
        kept = None if secret is None else {k: environment.decoded(v) for k, v in secret.data.items()}
        return _picked(f'secret "{each.secret.name}"', each.secret.items, each.secret.optional, kept, mode)
    if each.downwardAPI is not None:
        return [(f.path, _downward(f, mode, pod, facts)) for f in each.downwardAPI.items]
    if each.serviceAccountToken is not None:
        wanted = each.serviceAccountToken
        token = tokens.get((wanted.audience, wanted.expirationSeconds))
        if token is None:
            raise Missing(f"no token for service account {pod.spec.serviceAccountName or 'default'}")
        return [(wanted.path, File(token.encode(), mode))]
    return ()


def _picked(
    what: str, items: Sequence[KeyToPath], optional: bool, data: Mapping[str, bytes] | None, mode: int
) -> list[tuple[str, File]]:
    if data is None:
        if optional:
            return []
        raise Missing(f"{what} not found")
    if not items:
        return [(k, File(v, mode)) for k, v in data.items()]
    picked = []
    for item in items:
        if item.key in data:
            picked.append((item.path, File(data[item.key], mode if item.mode is None else item.mode)))
        elif not optional:
            raise Missing(f"{what} references non-existent config key: {item.key}")
    return picked


def _downward(file: DownwardFile, mode: int, pod: Pod, facts: Facts) -> File:
    mode = mode if file.mode is None else file.mode
    if file.fieldRef is not None:
        return File(environment.field(file.fieldRef.fieldPath, pod, facts).encode(), mode)
    if file.resourceFieldRef is not None:
        return File(environment.resource_field(file.resourceFieldRef, pod, Container(""), facts).encode(), mode)
    return File(b"", mode)


# --- claims (pure) -------------------------------------------------------------------------------------------------


def claims(pod: Pod) -> set[str]:
    """The names of the claims that the Pod's volumes are on."""
    return {v.persistentVolumeClaim.claimName for v in pod.spec.volumes if v.persistentVolumeClaim is not None}


def backed(pod: Pod, found: Mapping[str, PersistentVolumeClaim], backing: Mapping[str, PersistentVolume]) -> Pod:
    """The Pod with each volume on a claim as the path that it is. Raises Missing or Refused."""
    volumes = [_backed(v, found, backing) if v.persistentVolumeClaim is not None else v for v in pod.spec.volumes]
    return msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, volumes=volumes))


def _backed(
    volume: Volume, found: Mapping[str, PersistentVolumeClaim], backing: Mapping[str, PersistentVolume]
) -> Volume:
    assert volume.persistentVolumeClaim is not None
    name = volume.persistentVolumeClaim.claimName
    claim = found.get(name)
    if claim is None:
        raise Missing(f'persistentvolumeclaim "{name}" not found')
    if not claim.bound:
        raise Refused("ContainerCreating", f'volume "{volume.name}": claim "{name}" is not bound to a volume yet')
    has = backing.get(claim.spec.volumeName)
    if has is None:
        raise Missing(f'persistentvolume "{claim.spec.volumeName}" not found')
    source = has.spec.hostPath
    if has.spec.local is not None:
        source = HostPathSource(has.spec.local.path, "Directory")
    if source is None or has.spec.volumeMode == "Block":
        raise Refused("ContainerCreating", f'volume "{volume.name}": persistentvolume "{has.metadata.name}" is of a '
                      "kind that this node cannot mount; it can mount local and hostPath")  # fmt: skip
    return msgspec.structs.replace(volume, hostPath=source)


# --- files on disk -------------------------------------------------------------------------------------------------


class AtomicDirectory:
    """A directory whose files change all at once: a reader sees the old set or the new one."""

    def __init__(self, path: str) -> None:
        self.path = path

    def put(self, files: Payload) -> bool:
        """Make the directory hold exactly `files`. Answers whether anything changed."""
        os.makedirs(self.path, exist_ok=True)
        if self.read() == files:
            return False
        current = self._current()
        name = f"..{0 if current is None else int(current.removeprefix('..')) + 1}"
        target = os.path.join(self.path, name)
        shutil.rmtree(target, ignore_errors=True)
        for path, file in files.items():
            _place(os.path.join(target, *_checked(path).split("/")), file)
        os.makedirs(target, exist_ok=True)
        self._switch(name)
        self._link({p.split("/")[0] for p in files})
        if current is not None:
            shutil.rmtree(os.path.join(self.path, current), ignore_errors=True)
        return True

    def read(self) -> Payload | None:
        """What it holds; None when nothing was ever put."""
        base = os.path.join(self.path, "..data")
        if not os.path.isdir(base):
            return None
        files: Payload = {}
        for directory, _, names in os.walk(base):
            for name in names:
                path = os.path.join(directory, name)
                with open(path, "rb") as f:
                    files[os.path.relpath(path, base)] = File(f.read(), stat.S_IMODE(os.stat(path).st_mode))
        return files

    def _current(self) -> str | None:
        try:
            return os.readlink(os.path.join(self.path, "..data"))
        except FileNotFoundError:
            return None

    def _switch(self, name: str) -> None:
        fresh = os.path.join(self.path, "..data_tmp")
        if os.path.islink(fresh):
            os.unlink(fresh)
        os.symlink(name, fresh)
        os.rename(fresh, os.path.join(self.path, "..data"))

    def _link(self, names: set[str]) -> None:
        for name in names - set(os.listdir(self.path)):
            os.symlink(os.path.join("..data", name), os.path.join(self.path, name))
        for name in os.listdir(self.path):
            if not name.startswith("..") and name not in names:
                os.unlink(os.path.join(self.path, name))


def _checked(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise Refused("CreateContainerConfigError", f'volume path "{path}" must be relative and stay in the volume')
    return path


def _place(path: str, file: File) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(file.content)
    os.chmod(path, file.mode)


# --- where they lie ------------------------------------------------------------------------------------------------


def directory(pods: str, uid: str, volume: Volume) -> str:
    """The host's path of a volume."""
    if volume.hostPath is not None:
        return volume.hostPath.path
    if volume.emptyDir is not None and volume.emptyDir.medium == "Memory" and os.path.isdir(MEMORY):
        return f"{MEMORY}/fairlead-{uid}-{volume.name}"
    return f"{pods}/{uid}/volumes/{volume.name}"


def make(pods: str, pod: Pod, facts: Facts, sources: Sources, tokens: Tokens) -> None:
    """Make or refresh all volumes of a Pod. Raises Missing or Refused."""
    for volume in pod.spec.volumes:
        path = directory(pods, pod.metadata.uid, volume)
        if volume.hostPath is not None:
            check_host_path(volume.name, volume.hostPath)
        elif projections(volume):
            AtomicDirectory(path).put(payload(volume, pod, facts, sources, tokens))
        elif volume.emptyDir is None and volume.projected is None:
            raise Refused("ContainerCreating", f'volume "{volume.name}" is of a kind that this node cannot mount; use '
                          "emptyDir, hostPath, persistentVolumeClaim, configMap, secret, downwardAPI or "
                          "projected")  # fmt: skip
        elif not os.path.isdir(path):
            os.makedirs(path)
            os.chmod(path, 0o777)  # noqa: S103 - as the kubelet does: containers of any user write to an emptyDir


def remove(pods: str, pod: Pod) -> None:
    """Take away what a Pod's volumes hold on this node (never a hostPath)."""
    for volume in pod.spec.volumes:
        if volume.hostPath is None:
            shutil.rmtree(directory(pods, pod.metadata.uid, volume), ignore_errors=True)


_TESTS: Mapping[str, Callable[[str], bool]] = {
    "Directory": os.path.isdir,
    "File": os.path.isfile,
    "Socket": lambda path: os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode),
    "CharDevice": lambda path: os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode),
    "BlockDevice": lambda path: os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode),
}


def check_host_path(name: str, source: HostPathSource) -> None:
    """Hold a hostPath to its type; make what `…OrCreate` asks for. Raises Refused."""
    path, type_ = source.path, source.type
    if type_ in ("", "DirectoryOrCreate"):
        if not os.path.exists(path) and type_:
            os.makedirs(path, 0o755)
    elif type_ == "FileOrCreate":
        if not os.path.exists(path):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    elif not _TESTS[type_](path):
        raise Refused("ContainerCreating", f'volume "{name}": hostPath type check failed: {path} is not a {type_}')


def mounts(pods: str, pod: Pod, container: Container, values: Mapping[str, str]) -> tuple[Mount, ...]:
    """The bind mounts of a container. Raises Refused."""
    volumes = {v.name: v for v in pod.spec.volumes}
    result = []
    for each in container.volumeMounts:
        volume = volumes.get(each.name)
        if volume is None:
            raise Refused("CreateContainerConfigError", f'volumeMount "{each.name}" names no volume of the Pod')
        source = directory(pods, pod.metadata.uid, volume)
        result.append(Mount(each.mountPath, _below(source, each, volume, values), each.readOnly or _fixed(volume)))
    return tuple(result)


def _fixed(volume: Volume) -> bool:
    claim = volume.persistentVolumeClaim
    return bool(projections(volume)) or (claim is not None and claim.readOnly)


def _below(source: str, mount: VolumeMount, volume: Volume, values: Mapping[str, str]) -> str:
    """The volume's path, or a subPath in it, which is made when it is missing and may be made."""
    sub = mount.subPath or environment.expand(mount.subPathExpr, values)
    if not sub:
        if not os.path.exists(source):
            raise Refused("CreateContainerError", f'volume "{volume.name}": {source} does not exist')
        return source
    path = os.path.realpath(os.path.join(source, _checked(sub)))
    if os.path.commonpath([path, os.path.realpath(source)]) != os.path.realpath(source):
        raise Refused("CreateContainerConfigError", f'subPath "{sub}" leaves volume "{volume.name}"')
    if not os.path.exists(path):
        if _fixed(volume):
            raise Refused("CreateContainerConfigError", f'volume "{volume.name}" has no "{sub}"')
        os.makedirs(path)
    return path
