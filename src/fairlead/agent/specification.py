"""specification: what the runtime is asked to start: from all that the Pod says and all that the node has, one spec."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import msgspec

from fairlead.agent import environment, hosts, images, unsandboxed, volumes
from fairlead.agent.node import NodeParts
from fairlead.agent.runtimes import ContainerSpec, Limits, Mount, Ref, StartError, User
from fairlead.api.core import Container, Pod
from fairlead.machinery import quantity

MESSAGE_PATH = "/dev/termination-log"
_UNASKED = (MESSAGE_PATH, "/etc/hosts", "/var/run/secrets/kubernetes.io/serviceaccount")
"""Where every container has something, whether its Pod asks for volumes or not."""
PEERS_SECONDS = 20.0
"""How long a container that must be told addresses waits for those of its peers."""

Record = Callable[[str, str, str, str], None]
"""An Event: type, reason, message, container."""


class Demand(msgspec.Struct, frozen=True):
    """One attempt of one container of a Pod."""

    pod: Pod
    """With its volumes as what they are on."""
    container: Container
    ref: Ref
    facts: environment.Facts
    record: Record
    wanted: Callable[[], bool]
    """Whether it is still to be started."""
    beside: Ref | None = None


def message_file(node: NodeParts, ref: Ref) -> str:
    """The file in which a container may say why it ends."""
    return os.path.join(node.pods, ref.uid, "messages", f"{ref.container}.{ref.attempt}")


async def make(node: NodeParts, demand: Demand) -> ContainerSpec:
    """The spec. Raises StartError, environment.Missing, volumes.Refused, OSError, StatusError."""
    pod, container = demand.pod, demand.container
    choice = _image(node, demand)
    maps, secrets = environment.references(pod)
    sources = await node.sources(pod, maps, secrets)
    below = _below(node, demand, choice)
    values = environment.variables(pod, container, demand.facts, sources, below)
    on_host = pod.spec.hostNetwork
    spec = ContainerSpec(
        demand.ref, _command(choice, container, values), values, container.workingDir,
        "" if on_host else hosts.hostname(pod), "" if on_host else node.network.attach(demand.ref.uid).namespace,
        _mounts(node, demand, values), limits_of(container), user_of(pod, container),
        choice.rule.path if choice.rule.use == "root" else "",
        stdin=container.stdin, stdin_once=container.stdinOnce, tty=container.tty, beside=demand.beside,
    )  # fmt: skip
    return spec if node.sandboxed else await _without_view(node, demand, spec, below)


def _image(node: NodeParts, demand: Demand) -> images.Choice:
    container = demand.container
    choice = node.images.choose(container.image)
    if choice.refused:
        raise StartError("ErrImageNeverPull", choice.description)
    problem = images.problem(choice)
    if problem:
        raise StartError("CreateContainerError", problem)
    if not choice.rule.silent and demand.ref.attempt == 0 and container.image:
        demand.record("Normal", "ImageSubstituted", choice.description, container.name)
    return choice


def _below(node: NodeParts, demand: Demand, choice: images.Choice) -> dict[str, str]:
    """What lies below the container's own variables."""
    below = images.environment(choice, node.environment)
    below["HOSTNAME"] = hosts.hostname(demand.pod)
    below.update(node.api_environment())
    below.update(node.devices.environment(demand.ref.uid, demand.container.name))
    return below


def _command(choice: images.Choice, container: Container, values: Mapping[str, str]) -> tuple[str, ...]:
    command = environment.command(container, values)
    if not container.command:
        command = images.command(choice, container.image, command)
    if not command:
        raise StartError("CreateContainerError", f'container "{container.name}" has no command, and image '
                         f'"{container.image}" brings none to this node: set `command`, or a command for it in '
                         "the node's image table")  # fmt: skip
    return command


def _mounts(node: NodeParts, demand: Demand, values: Mapping[str, str]) -> tuple[Mount, ...]:
    mounts = (*volumes.mounts(node.pods, demand.pod, demand.container, values), _message_mount(node, demand))
    if any(m.target == "/etc/hosts" for m in mounts) or demand.pod.spec.hostNetwork:
        return mounts
    return (*mounts, Mount("/etc/hosts", node.names.file(demand.pod)))


def _message_mount(node: NodeParts, demand: Demand) -> Mount:
    path = message_file(node, demand.ref)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.fchmod(fd, 0o666)
    os.close(fd)
    return Mount(demand.container.terminationMessagePath or MESSAGE_PATH, path)


async def _without_view(
    node: NodeParts, demand: Demand, spec: ContainerSpec, below: Mapping[str, str]
) -> ContainerSpec:
    """No view of its own: rewritten, once the peers that it names have addresses."""
    mounts = spec.mounts
    if any(not m.target.startswith(_UNASKED) for m in mounts):
        demand.record("Warning", "VolumesNotMounted", "this node has no sandbox: volumes are not at their mount paths, "
                      "which are replaced in command, args, env and workingDir; variables FAIRLEAD_MOUNT_… say where "
                      "volumes are", demand.container.name)  # fmt: skip
    names = await _peers(node, demand, (*spec.command, *spec.env.values()))
    rewriting = unsandboxed.Rewriting(mounts, names)
    return msgspec.structs.replace(
        spec,
        command=tuple(map(rewriting.text, spec.command)),
        env=unsandboxed.variables(mounts) | rewriting.values(spec.env, below),
        cwd=rewriting.text(spec.cwd),
        mounts=(),
    )


async def _peers(node: NodeParts, demand: Demand, texts: tuple[str, ...]) -> Mapping[str, str]:
    """The names that have addresses, as soon as those in `texts` have, or when it has taken too long."""
    end = node.clock.monotonic() + PEERS_SECONDS
    while True:
        names = node.names.peers(demand.pod)
        missing = unsandboxed.unknown(texts, demand.pod, names)
        if not missing or not demand.wanted():
            return names
        if node.clock.monotonic() >= end:
            break
        await node.clock.sleep(0.05)
    demand.record("Warning", "PeersUnknown", f"no address is known of {', '.join(sorted(missing))}, and this node has "
                  "no sandbox to tell of it later: the container starts without", demand.container.name)  # fmt: skip
    return names


def limits_of(container: Container) -> Limits:
    """A container's limits and its weight."""
    most, least = container.resources.limits, container.resources.requests
    memory, cpu = most.get("memory"), most.get("cpu")
    request = least.get("cpu", cpu)
    return Limits(
        memory=None if memory is None else quantity.fast_value(memory),
        cpu=None if cpu is None else quantity.fast_milli(cpu),
        cpu_request=0 if request is None else quantity.fast_milli(request),
    )


def user_of(pod: Pod, container: Container) -> User:
    """Whom it runs as: the container's word before the Pod's."""
    own, all_ = container.securityContext, pod.spec.securityContext
    uid = next((c.runAsUser for c in (own, all_) if c is not None and c.runAsUser is not None), None)
    gid = next((c.runAsGroup for c in (own, all_) if c is not None and c.runAsGroup is not None), None)
    group = all_.fsGroup if all_ is not None else None
    if uid is not None and gid is None:
        gid = 0
    return User(uid, gid, () if group is None else (group,))
