"""capabilities: what this machine allows, found out by trying, once, when the agent starts.

Three questions, each with a best answer and fallbacks: what holds limits, what separates containers, what gives Pods
their addresses. The answers are labels on the Node and lines that `fairlead up` prints, with their consequences.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile

import msgspec

from fairlead.agent import balancers, limits, network
from fairlead.agent.runtimes.process import Sandbox

LABEL = "fairlead.dev/"


class Capability(msgspec.Struct, frozen=True):
    """One answer. `lacking` says why it is not a better one; empty for the best."""

    what: str
    how: str
    consequence: str
    lacking: str = ""


class Capabilities:
    """What was found. The network and the limiter are the ones that the agent uses."""

    def __init__(
        self,
        limiter: limits.Limiter,
        sandbox: Sandbox,
        net: network.Network,
        lacking: dict[str, str] | None = None,
        balancer: balancers.Balancer | None = None,
    ) -> None:
        self.limiter, self.sandbox, self.network = limiter, sandbox, net
        self.balancer = balancer or balancers.Nothing()
        self._lacking = lacking or {}

    def all(self) -> tuple[Capability, ...]:
        lacking = self._lacking
        return (
            Capability("limits", self.limiter.name, _LIMITS[self.limiter.name], lacking.get("limits", "")),
            Capability("sandbox", self.sandbox.name, _SANDBOXES[self.sandbox.name], lacking.get("sandbox", "")),
            Capability("network", self.network.name, self.network.detail, lacking.get("network", "")),
            Capability("services", self.balancer.name, self.balancer.detail, lacking.get("services", "")),
        )

    def summary(self) -> list[tuple[str, str, str]]:
        """(what, how, consequence) of each, for people."""
        return [(c.what, c.how, c.consequence + (f" ({c.lacking})" if c.lacking else "")) for c in self.all()]

    def labels(self) -> dict[str, str]:
        """`fairlead.dev/limits: cgroup-v1`, and so on."""
        return {LABEL + c.what: c.how for c in self.all()}

    def annotations(self) -> dict[str, str]:
        return {f"{LABEL}{c.what}-detail": c.consequence for c in self.all()}


_LIMITS = {
    "cgroup-v2": "memory and CPU are limited by the kernel",
    "cgroup-v1": "memory and CPU are limited by the kernel",
    "rlimits": "memory is looked at twice a second, CPU is not limited",
}
_SANDBOXES = {
    "namespaces": "volumes are at their true paths, and a container ends with all that it started",
    "user-namespaces": "volumes are at their true paths, and a container ends with all that it started",
    "none": "volumes are not at their paths (variables tell where they are), peers' names are put into variables",
}


def detect(state: str, *, network_mode: str = "auto", sandbox: str = "auto") -> Capabilities:
    """Try what there is. `sandbox` may be `none`, to do without. Raises OSError if the network asked for cannot be."""
    os.makedirs(os.path.join(state, "pods"), exist_ok=True)
    lacking = {}
    limiter, lacking["limits"] = limits.detect()
    box, lacking["sandbox"] = (Sandbox(), "asked for") if sandbox == "none" else detect_sandbox(state)
    if not box.mount and network_mode == "netns":
        why = "it needs a sandbox, without which containers cannot be told each other's names"
        raise OSError(f"{why} (sandbox: {lacking['sandbox']})")
    if not box.mount and network_mode == "auto":
        network_mode = "loopback"  # Without a mount namespace nobody could tell Pods each other's names.
    net, lacking["network"] = network.choose(network_mode, state)
    balancer, lacking["services"] = balancers.choose(net)
    return Capabilities(limiter, box, net, lacking, balancer)


def detect_sandbox(state: str) -> tuple[Sandbox, str]:
    """The best sandbox that a trial container can be started in."""
    why = "namespaces need Linux"
    if not sys.platform.startswith("linux"):
        return Sandbox(), why
    candidates = [Sandbox(mount=True, pid=True, user=True), Sandbox(mount=True, user=True)]
    if os.geteuid() == 0:
        candidates = [Sandbox(mount=True, pid=True), Sandbox(mount=True), *candidates]
    for box in candidates:
        problem = trial(box, state)
        if not problem:
            return box, ""
        why = why if why != "namespaces need Linux" else problem
    return Sandbox(), why


def trial(box: Sandbox, state: str) -> str:
    """Start `true` behind the shim; answers what went wrong."""
    shim = os.path.join(os.path.dirname(__file__), "shim.py")
    with tempfile.TemporaryDirectory(dir=state) as directory:
        os.mkdir(directory + "/view")
        order = {
            "dir": directory, "command": ["true"], "env": {"PATH": os.defpath}, "cwd": "/", "root": "",
            "log": directory + "/log", "scratch": directory + "/view", "hostname": "trial", "netns": "",
            "mounts": [{"source": "/etc/passwd", "target": "/etc/hosts", "read_only": True, "kind": "bind"}],
            "mountns": True, "pidns": box.pid, "userns": box.user, "cgroups": [], "kill": "", "oom": "",
            "rlimits": {}, "uid": None, "gid": None, "groups": None, "inherited": [], "terminal": False,
            "beside": "",
        }  # fmt: skip
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-E", shim], input=msgspec.json.encode(order), capture_output=True,
                timeout=10, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "a trial container did not end"
    with contextlib.suppress(msgspec.DecodeError):
        return str(msgspec.json.decode(done.stdout).get("error", ""))
    return "the shim gave no answer"
