"""policy/v1: PodDisruptionBudget."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View


class BudgetSpec(View, frozen=True):
    minAvailable: int | str | None = None
    maxUnavailable: int | str | None = None
    selector: dict[str, Any] | None = None
    unhealthyPodEvictionPolicy: str = ""


class BudgetStatus(View, frozen=True):
    observedGeneration: int = 0
    disruptedPods: dict[str, str] = {}
    """Pods whose eviction was granted, and when; they count as disrupted until they are seen to go."""
    disruptionsAllowed: int = 0
    currentHealthy: int = 0
    desiredHealthy: int = 0
    expectedPods: int = 0
    conditions: list[Condition] = []


class PodDisruptionBudget(Object, frozen=True):
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()


BUDGETS: Resource[PodDisruptionBudget] = Resource(
    "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", PodDisruptionBudget,
    singular="poddisruptionbudget", short=("pdb",), status=True, schema="io.k8s.api.policy.v1.PodDisruptionBudget",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (BUDGETS,)
