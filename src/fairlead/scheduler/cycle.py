"""Cycle: what to place where, now. Pure: from columns, pending units and a seed to decisions.

The unit of decision is a `Unit`: one Pod, or the Pods of a gang that must be placed together. Units are taken by
priority, then age. A gang is placed in a trial that is committed only when enough members found a node; else nothing
of it remains. Members of one class fit exactly when there is room for them. Members of several classes are tried by
score and then packed tightly; a placement that only a search over all combinations would find may be missed.

Placed Pods are counted in the columns at once (assumed): whoever acts on the decisions must take back those that fail
(`Columns.remove_pod`).

Ties go by lot: the lot is of the Pod's uid and the seed, so the same input gives the same decisions. `Decisions.log`
says what was chosen among how many, for replay and for tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from fairlead.api.meta import Key
from fairlead.scheduler import explain
from fairlead.scheduler.classes import PodClass
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.evaluation import Evaluation, Evaluations, lot_of


class Pending(NamedTuple):
    """A Pod that waits for a node."""

    key: Key
    uid: str
    pod_class: PodClass
    created: float


class Unit(msgspec.Struct, frozen=True):
    """Pods that are decided together. `needed` of them must be placed at once, the rest are welcome."""

    pods: tuple[Pending, ...]
    needed: int = 1
    group: str = ""
    """The gang's name; empty for a single Pod."""

    @property
    def rank(self) -> tuple[int, float, Key]:
        """Higher priority first, then older, then by name."""
        first = self.pods[0]
        if len(self.pods) == 1:
            return (-first.pod_class.priority, first.created, first.key)
        priority = max(pod.pod_class.priority for pod in self.pods)
        return (-priority, min(pod.created for pod in self.pods), first.key)


class Placement(NamedTuple):
    """This Pod goes on that node."""

    pod: Pending
    node: str


class Placed(msgspec.Struct, frozen=True):
    """A unit that was placed, whole or (a gang beyond its minimum) in part: to be bound in one call."""

    unit: Unit
    placements: tuple[Placement, ...]


class Refusal(msgspec.Struct, frozen=True):
    """Pods that stay pending, and why."""

    unit: Unit
    pods: tuple[Pending, ...]
    message: str


class Choice(NamedTuple):
    """One line of the log: the Pod, its node (empty: none), the score and how many nodes fitted."""

    uid: str
    node: str
    score: int
    fitting: int


class Decisions(msgspec.Struct, frozen=True):
    """What a cycle decided at `now`, in the order in which it decided."""

    now: float
    placed: tuple[Placed, ...]
    refused: tuple[Refusal, ...]
    log: tuple[Choice, ...] = ()


def schedule(
    columns: Columns, pending: Iterable[Unit], now: float, seed: int, evaluations: Evaluations, *, log: bool = False
) -> Decisions:
    """Decide all `pending` units. The columns hold the placed Pods afterwards."""
    cycle = _Cycle(columns, evaluations, seed, log)
    for unit in sorted(pending, key=lambda u: u.rank):
        cycle.decide(unit)
    return Decisions(now, tuple(cycle.placed), tuple(cycle.refused), tuple(cycle.choices))


class _Cycle:
    """The state of one `schedule` call. `texts` keeps a class's refusal for as long as nothing moves."""

    def __init__(self, columns: Columns, evaluations: Evaluations, seed: int, log: bool) -> None:
        self.columns, self.evaluations, self.seed = columns, evaluations, seed
        self.placed: list[Placed] = []
        self.refused: list[Refusal] = []
        self.choices: list[Choice] = []
        self._logs = log
        self._texts: dict[int, tuple[int, str]] = {}

    def decide(self, unit: Unit) -> None:
        if unit.group:
            self._decide_gang(unit)
            return
        pod = unit.pods[0]
        node = self._place(pod)
        if node:
            self.placed.append(Placed(unit, (Placement(pod, node),)))
        else:
            self.refused.append(Refusal(unit, unit.pods, self._why(pod.pod_class)))

    def _place(self, pod: Pending, *, pack: bool = False) -> str:
        """Place one Pod on the best node, or (pack) the fullest; the empty text when none fits."""
        evaluation = self.evaluations.of(pod.pod_class)
        lot = lot_of(pod.uid, self.seed)
        row = evaluation.tightest(lot) if pack else evaluation.best(lot)
        node = self.columns.names[row] if row >= 0 else ""
        if self._logs:
            score = int(evaluation.total[row]) if node else 0
            self.choices.append(Choice(pod.uid, node, score, int(evaluation.fits.sum())))
        if node:
            self.columns.add_pod(pod.uid, node, pod.pod_class.footprint)
        return node

    def _why(self, pod_class: PodClass) -> str:
        at, text = self._texts.get(id(pod_class), (-1, ""))
        if at != self.columns.usage.head:
            text = explain.diagnose(self.columns, self.evaluations.of(pod_class)).message()
            self._texts[id(pod_class)] = (self.columns.usage.head, text)
        return text

    # --- gangs -----------------------------------------------------------------------------------------------------

    def _decide_gang(self, unit: Unit) -> None:
        short = self._hopeless(unit)
        if short is not None:
            self.refused.append(Refusal(unit, unit.pods, short))
            return
        if self._attempt(unit, pack=False):
            return
        if self._mixed(unit) and self._attempt(unit, pack=True):
            return
        with self.columns.trial():
            placements, missed = self._try(unit, pack=False)
            text = self._gang_text(unit, len(placements), self.evaluations.of(missed[0].pod_class))
        self.refused.append(Refusal(unit, unit.pods, text))

    def _attempt(self, unit: Unit, *, pack: bool) -> bool:
        """Place enough members and keep that, or leave no trace."""
        with self.columns.trial() as trial:
            placements, missed = self._try(unit, pack)
            if len(placements) < unit.needed:
                return False
            trial.commit()
        self.placed.append(Placed(unit, tuple(placements)))
        if missed:
            self.refused.append(Refusal(unit, tuple(missed), self._why(missed[0].pod_class)))
        return True

    def _mixed(self, unit: Unit) -> bool:
        """Whether members are of several classes: only then does it matter which node each of them takes."""
        return any(pod.pod_class is not unit.pods[0].pod_class for pod in unit.pods)

    def _hopeless(self, unit: Unit) -> str | None:
        """A gang of one class needs no trial to be refused: the room for it is one sum over the nodes."""
        first = unit.pods[0].pod_class
        if self._mixed(unit):
            return None
        evaluation = self.evaluations.of(first)
        room = evaluation.room(unit.needed)
        if room >= unit.needed:
            return None
        if not evaluation.possible():
            return self._gang_text(unit, 0, evaluation)
        with self.columns.trial():  # what stops the next one shows only once the others are placed
            placed, _ = self._try(unit, pack=False)
            return self._gang_text(unit, len(placed), self.evaluations.of(first))

    def _try(self, unit: Unit, pack: bool) -> tuple[list[Placement], list[Pending]]:
        """Place as many members as go; those for which there is least room first."""
        placements: list[Placement] = []
        missed: list[Pending] = []
        full: set[int] = set()
        for pod in self._scarcest_first(unit.pods):
            node = "" if id(pod.pod_class) in full else self._place(pod, pack=pack)
            if node:
                placements.append(Placement(pod, node))
            else:
                full.add(id(pod.pod_class))
                missed.append(pod)
        return placements, missed

    def _scarcest_first(self, pods: Sequence[Pending]) -> list[Pending]:
        rooms = {id(p.pod_class): p.pod_class for p in pods}
        scarcity = {number: self.evaluations.of(c).room(len(pods)) for number, c in rooms.items()}
        return sorted(pods, key=lambda p: (scarcity[id(p.pod_class)], p.created, p.key))

    def _gang_text(self, unit: Unit, room: int, evaluation: Evaluation) -> str:
        return explain.gang(unit.group, unit.needed, room, explain.diagnose(self.columns, evaluation))
