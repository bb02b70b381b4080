"""Pods decided per second by the pure cycle, over all nodes, without I/O.

The floor beside it is what kube-scheduler's own performance tests demand of it *end to end* (with 10 % of the nodes
looked at): the ratio says how little deciding costs here, not how much faster Pods start.

python bench/scheduler_rate.py [--nodes 1000 5000] [--pods 5000]
"""

from __future__ import annotations

import argparse
import time

from fairlead.api.core import Container, Node, NodeSpec, NodeStatus, Pod, PodSpec, ResourceRequirements, Taint
from fairlead.api.meta import ObjectMeta
from fairlead.scheduler import cycle, plugins
from fairlead.scheduler.classes import Classes
from fairlead.scheduler.columns import Columns
from fairlead.scheduler.cycle import Pending, Unit
from fairlead.scheduler.evaluation import Evaluations


def cluster(nodes: int, *, tainted: bool = False) -> Columns:
    """Nodes of 64 cpus, 256Gi and 8 GPUs in ten zones; a tenth prefers no Pods if `tainted`."""
    columns = Columns()
    for i in range(nodes):
        labels = {"kubernetes.io/hostname": f"node-{i}", "topology.kubernetes.io/zone": f"zone-{i % 10}"}
        offered = {"cpu": "64", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "8"}
        taints = [Taint("spot", "PreferNoSchedule")] if tainted and i % 10 == 0 else []
        meta = ObjectMeta(name=f"node-{i}", labels=labels)
        columns.put_node(Node(metadata=meta, spec=NodeSpec(taints=taints), status=NodeStatus(allocatable=offered)))
    return columns


def pods(count: int, shapes: int) -> list[Pending]:
    """Pods of so many shapes, interleaved."""
    classes = Classes()
    made = []
    for i in range(count):
        shape = i % shapes
        asked = ResourceRequirements(requests={"cpu": f"{500 + shape}m", "memory": "1Gi"})
        spec = PodSpec(containers=[Container("main", resources=asked)])
        pod = Pod(metadata=ObjectMeta(name=f"pod-{i}", namespace="bench", uid=f"uid-{i}"), spec=spec)
        made.append(Pending(pod.key, pod.metadata.uid, classes.of(pod), float(i)))
    return made


def rate(columns: Columns, units: list[Unit], count: int) -> float:
    """Pods decided per second."""
    evaluations = Evaluations(columns, plugins.load())
    start = time.perf_counter()
    decisions = cycle.schedule(columns, units, 0.0, 7, evaluations)
    taken = time.perf_counter() - start
    placed = sum(len(p.placements) for p in decisions.placed)
    if placed != count:
        raise SystemExit(f"only {placed} of {count} pods were placed; the figure would mean nothing")
    return count / taken


def singles(made: list[Pending]) -> list[Unit]:
    return [Unit((pod,)) for pod in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--pods", type=int, default=5000)
    args = parser.parse_args()
    floor = {"1 class": 270, "20 classes": 140}
    print(f"{'nodes':>6} {'workload':<28} {'pods/s':>9} {'upstream floor':>15} {'ratio':>7}")
    for nodes in args.nodes:
        made = {shapes: pods(args.pods, shapes) for shapes in (1, 20, 200)}
        gangs = [Unit(tuple(made[1][i : i + 500]), 500, f"g{i}") for i in range(0, args.pods, 500)]
        cases = {
            "1 class": (cluster(nodes), singles(made[1])),
            "1 class, soft taints": (cluster(nodes, tainted=True), singles(made[1])),
            "20 classes": (cluster(nodes), singles(made[20])),
            "200 classes": (cluster(nodes), singles(made[200])),
            "gangs of 500": (cluster(nodes), gangs),
        }
        for name, (columns, units) in cases.items():
            found = rate(columns, units, sum(len(u.pods) for u in units))
            base = floor.get(name)
            print(
                f"{nodes:>6} {name:<28} {found:>9,.0f} {base or '-':>15} {f'{found / base:.0f}x' if base else '-':>7}"
            )


if __name__ == "__main__":
    main()
