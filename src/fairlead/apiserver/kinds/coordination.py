"""coordination.k8s.io: Lease."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.kinds.ways import Obj, Ways, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes


def _rules(lease: Obj) -> Iterator[Cause]:
    spec = spec_of(lease)
    duration, changes = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        yield causes.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if changes is not None and changes < 0:
        yield causes.invalid("spec.leaseTransitions", changes, "must be greater than or equal to 0")
    if spec.get("holderIdentity") == "":
        yield causes.invalid("spec.holderIdentity", "", "must not be empty")


WAYS = {("coordination.k8s.io", "leases"): Ways(rules=_rules, generation=False)}
