"""devices: which GPUs this node has, and which Pod has which. Whole devices only; an assignment is exclusive.

Real devices are found by NVML (through ctypes, so nothing needs to be installed); `--fake-gpus` makes devices up, so
that any laptop can schedule. An assignment is written to the Pod's directory before a container sees it, and is found
there again after a restart.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence

import msgspec

RESOURCE = "nvidia.com/gpu"


class Device(msgspec.Struct, frozen=True):
    """One GPU. `id` is what CUDA_VISIBLE_DEVICES takes: the index for a made-up device, the UUID for a real one."""

    id: str
    model: str
    memory: int = 0


class Unavailable(Exception):
    """More devices are asked for than are free."""


def fake(count: int) -> list[Device]:
    """Devices that exist only for the scheduler."""
    return [Device(str(i), "fake") for i in range(count)]


def detect() -> list[Device]:
    """The node's NVIDIA GPUs; none without a driver."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return []
    if nvml.nvmlInit_v2() != 0:
        return []
    try:
        count = ctypes.c_uint()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        return [_describe(nvml, i) for i in range(count.value)]
    finally:
        nvml.nvmlShutdown()


def _describe(nvml: ctypes.CDLL, index: int) -> Device:
    handle = ctypes.c_void_p()
    nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle))
    name, uuid = ctypes.create_string_buffer(96), ctypes.create_string_buffer(96)
    nvml.nvmlDeviceGetName(handle, name, 96)
    nvml.nvmlDeviceGetUUID(handle, uuid, 96)
    memory = (ctypes.c_ulonglong * 3)()  # total, free, used
    nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    return Device(uuid.value.decode(), name.value.decode(), int(memory[0]))


class Devices:
    """Who has which device."""

    def __init__(self, state: str, devices: Sequence[Device]) -> None:
        self.devices = tuple(devices)
        self._pods = os.path.join(os.path.abspath(state), "pods")
        self._assigned: dict[str, dict[str, list[str]]] = {}
        for uid in os.listdir(self._pods) if os.path.isdir(self._pods) else ():
            with contextlib.suppress(OSError, msgspec.DecodeError), open(self._file(uid), "rb") as f:
                self._assigned[uid] = msgspec.json.decode(f.read(), type=dict[str, list[str]])

    def _file(self, uid: str) -> str:
        return f"{self._pods}/{uid}/devices.json"

    @property
    def free(self) -> list[str]:
        used = {d for of_pod in self._assigned.values() for of_container in of_pod.values() for d in of_container}
        return [d.id for d in self.devices if d.id not in used]

    def assign(self, uid: str, wanted: dict[str, int]) -> dict[str, list[str]]:
        """Devices for each container of a Pod (`wanted`: container to count); the same again when asked again."""
        known = self._assigned.get(uid)
        if known is not None:
            return known
        free = self.free
        if sum(wanted.values()) > len(free):
            raise Unavailable(f"{sum(wanted.values())} {RESOURCE} asked for, {len(free)} of {len(self.devices)} free")
        assigned = {}
        for container, count in wanted.items():
            assigned[container], free = free[:count], free[count:]
        if assigned:
            os.makedirs(f"{self._pods}/{uid}", exist_ok=True)
            with open(self._file(uid) + ".new", "wb") as f:
                f.write(msgspec.json.encode(assigned))
            os.rename(self._file(uid) + ".new", self._file(uid))
            self._assigned[uid] = assigned
        return assigned

    def release(self, uid: str) -> None:
        self._assigned.pop(uid, None)
        with contextlib.suppress(OSError):
            os.unlink(self._file(uid))

    def environment(self, uid: str, container: str) -> dict[str, str]:
        """What tells a container its devices. One without any sees none, even if the node has some."""
        if not self.devices:
            return {}
        ids = ",".join(self._assigned.get(uid, {}).get(container, ()))
        return {"CUDA_VISIBLE_DEVICES": ids, "NVIDIA_VISIBLE_DEVICES": ids or "void"}
