"""Derives the package's schema and protobuf tables from the facts about the Kubernetes API.

Run by hand when the served kinds (`fairlead.api.builtin`) or the facts change:

    python tools/derive_tables.py [folder of the facts]

Writes `src/fairlead/data/schemas.json.xz` ({definition: OpenAPI v2 schema}) and `src/fairlead/data/protobuf.json.xz`
({Go type: {imports, fields} or {alias}}), each with only what the served kinds reach.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairlead.api import builtin

ROOT = Path(__file__).parents[1]
FACTS = ROOT.parent / "shared" / "data" / "kubernetes-1.36"
DATA = ROOT / "src" / "fairlead" / "data"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY = "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"
FURTHER = (
    # What requests and answers carry beside the served kinds, and what bundled custom kinds are made of.
    *(META + n for n in ("DeleteOptions", "Status", "WatchEvent", "Condition", "LabelSelector", "ListMeta")),
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.core.v1.Binding",
    "io.k8s.api.core.v1.PodTemplateSpec",
    "io.k8s.api.core.v1.ResourceRequirements",
    "io.k8s.api.batch.v1.JobTemplateSpec",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.api.authentication.v1.TokenReview",
    "io.k8s.api.authentication.v1.SelfSubjectReview",
    *(f"io.k8s.api.authorization.v1.{n}" for n in (
        "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview", "LocalSubjectAccessReview",
    )),
)  # fmt: skip
METRICS = "io.k8s.metrics.pkg.apis.metrics.v1beta1."
"""The kinds of metrics.k8s.io, which an API server of its own serves elsewhere: the facts do not have them."""
FURTHER_GO = ("k8s.io/apimachinery/pkg/runtime.Unknown",)
WORD = re.compile(r"([A-Za-z0-9_]+\.)?[A-Za-z0-9_]+")


def main() -> None:
    facts = Path(sys.argv[1]) if len(sys.argv) > 1 else FACTS
    definitions = read(facts / "openapi-facts.json.xz")["definitions"] | metrics()
    roots = [name for r in builtin.RESOURCES for name in (r.schema, r.schema + "List")]
    schemas = reached([*roots, *FURTHER], definitions, references)
    write("schemas", {name: definitions[name] for name in schemas})

    messages = read(facts / "protobuf-fields.json.xz")
    go_roots = [g for g in map(go_name, [*roots, *FURTHER]) if g in messages]
    go_types = reached([*go_roots, *FURTHER_GO], messages, go_references)
    write("protobuf", {name: messages[name] for name in go_types})


def metrics() -> dict[str, Any]:
    """The definitions of metrics.k8s.io/v1beta1."""
    usage = {"type": "object", "additionalProperties": {"$ref": QUANTITY}}
    timed = {"timestamp": {"$ref": f"#/definitions/{META}Time"}, "window": {"type": "string"}}
    containers = {"type": "array", "items": {"$ref": f"#/definitions/{METRICS}ContainerMetrics"}}
    container = {"type": "object", "properties": {"name": {"type": "string"}, "usage": usage}}
    return {
        METRICS + "ContainerMetrics": container,
        **kind("NodeMetrics", {**timed, "usage": usage}),
        **kind("PodMetrics", {**timed, "containers": containers}),
    }


def kind(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The definitions of a kind and of its list."""
    text = {"type": "string"}
    head = {"apiVersion": text, "kind": text}
    items = {"type": "array", "items": {"$ref": f"#/definitions/{METRICS}{name}"}}

    def of(name: str, meta: str, more: dict[str, Any]) -> dict[str, Any]:
        properties = {**head, "metadata": {"$ref": f"#/definitions/{META}{meta}"}, **more}
        gvk = {"group": "metrics.k8s.io", "version": "v1beta1", "kind": name}
        return {"type": "object", "properties": properties, "x-kubernetes-group-version-kind": [gvk]}

    return {
        METRICS + name: of(name, "ObjectMeta", fields),
        f"{METRICS}{name}List": of(f"{name}List", "ListMeta", {"items": items}),
    }


def reached(roots: list[str], table: dict[str, Any], edges: Any) -> list[str]:
    """The names that the roots reach, sorted. A root must exist."""
    seen: set[str] = set()
    waiting = list(roots)
    missing = [r for r in roots if r not in table]
    if missing:
        raise SystemExit(f"not in the facts: {missing}")
    while waiting:
        name = waiting.pop()
        if name not in seen and name in table:
            seen.add(name)
            waiting += edges(name, table[name])
    return sorted(seen)


def references(_: str, node: Any) -> Iterator[str]:
    """The definitions that a schema refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/definitions/")
            else:
                yield from references("", value)
    elif isinstance(node, list):
        for value in node:
            yield from references("", value)


def go_references(name: str, message: dict[str, Any]) -> Iterator[str]:
    """The Go types that a message's fields (or an alias) name: `[]corev1.Container`, `map[string]Quantity`, …"""
    package = name.rpartition(".")[0]
    imports = message.get("imports", {})
    for text in [f["go"] for f in message.get("fields", ())] + [message.get("alias", "")]:
        for word in WORD.finditer(text):
            prefix, _, bare = word.group().rpartition(".")
            yield f"{imports.get(prefix, prefix) if prefix else package}.{bare}"


def go_name(definition: str) -> str:
    """`io.k8s.api.batch.v1.Job` is Go's `k8s.io/api/batch/v1.Job`."""
    parts = definition.removeprefix("io.k8s.").split(".")
    return f"k8s.io/{'/'.join(parts[:-1])}.{parts[-1]}"


def read(path: Path) -> Any:
    return json.loads(lzma.decompress(path.read_bytes()))


def write(name: str, table: dict[str, Any]) -> None:
    plain = json.dumps(table, separators=(",", ":"), sort_keys=True).encode()
    packed = lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)
    (DATA / f"{name}.json.xz").write_bytes(packed)
    print(f"{name}: {len(table)} entries, {len(plain)} bytes, {len(packed)} packed")


if __name__ == "__main__":
    main()
