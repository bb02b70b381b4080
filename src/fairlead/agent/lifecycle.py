"""lifecycle: the vocabulary of a Pod's life on a node: what happened (`Event`), what to do (`Action`). Types only."""

from __future__ import annotations

from typing import Literal

import msgspec

from fairlead.agent.health import Kind

HookName = Literal["postStart", "preStop"]

# --- what happened -------------------------------------------------------------------------------------------------


class Exit(msgspec.Struct, frozen=True):
    """How an attempt ended."""

    code: int
    signal: int = 0
    oom: bool = False
    started: float = 0.0
    finished: float = 0.0
    reason: str = ""
    message: str = ""


class Admitted(msgspec.Struct, frozen=True):
    """The Pod is bound to this node; or a wake-up that was asked for is due."""


class Prepared(msgspec.Struct, frozen=True):
    """Network and volumes are there."""

    ip: str
    host_ip: str


class PrepareFailed(msgspec.Struct, frozen=True):
    """`reason` is what the containers wait for; `event` is the Event's reason."""

    reason: str
    message: str
    event: str = "FailedMount"


class ContainerStarted(msgspec.Struct, frozen=True):
    container: str
    attempt: int
    at: float


class StartFailed(msgspec.Struct, frozen=True):
    """`fatal`: the attempt was made and is over (the command cannot be executed); else it may be tried again."""

    container: str
    attempt: int
    reason: str
    message: str
    fatal: bool = False


class ContainerExited(msgspec.Struct, frozen=True):
    container: str
    attempt: int
    exit: Exit


class Probed(msgspec.Struct, frozen=True):
    """A probe's answer. `ok` None: it could not be made, which counts as nothing. `message` also with a warning."""

    container: str
    attempt: int
    kind: Kind
    ok: bool | None
    message: str = ""


class HookDone(msgspec.Struct, frozen=True):
    """A hook has ended; `error` is empty when it went well."""

    container: str
    attempt: int
    hook: HookName
    error: str = ""


class DeleteRequested(msgspec.Struct, frozen=True):
    """`grace` in seconds; a later request may shorten it."""

    grace: float


class TornDown(msgspec.Struct, frozen=True):
    """Network and volumes are gone."""


class Evicted(msgspec.Struct, frozen=True):
    """The node refuses or ends the Pod: it fails with that reason."""

    reason: str
    message: str
    grace: float = 0.0


Event = (
    Admitted
    | Prepared
    | PrepareFailed
    | ContainerStarted
    | StartFailed
    | ContainerExited
    | Probed
    | HookDone
    | DeleteRequested
    | TornDown
    | Evicted
)

# --- what to do ----------------------------------------------------------------------------------------------------


class Prepare(msgspec.Struct, frozen=True):
    """Make the Pod's network and volumes."""


class Start(msgspec.Struct, frozen=True):
    container: str
    attempt: int


class Signal(msgspec.Struct, frozen=True):
    """SIGTERM (or the container's own stop signal) to the command."""

    container: str
    attempt: int


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL to all that the container started."""

    container: str
    attempt: int


class MakeProbe(msgspec.Struct, frozen=True):
    """Answered by `Probed`."""

    container: str
    attempt: int
    kind: Kind


class RunHook(msgspec.Struct, frozen=True):
    """Answered by `HookDone`. `seconds`: the longest that it may take; None for no limit."""

    container: str
    attempt: int
    hook: HookName
    seconds: float | None = None


class WakeAt(msgspec.Struct, frozen=True):
    """Send `Admitted` at that time (seconds since the epoch)."""

    time: float


class Record(msgspec.Struct, frozen=True):
    """A core/v1 Event on the Pod; `container` tells its fieldPath."""

    type: str
    reason: str
    message: str
    container: str = ""


class Teardown(msgspec.Struct, frozen=True):
    """Nothing runs any more: release network, devices and volumes."""


class Finalize(msgspec.Struct, frozen=True):
    """Delete the Pod object, now and for good."""


Action = Prepare | Start | Signal | Kill | MakeProbe | RunHook | WakeAt | Record | Teardown | Finalize
