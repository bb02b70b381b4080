"""Derives the bundled CustomResourceDefinitions (JobSet, TrainJob, their runtimes, PodGroup of coscheduling).

    python tools/derive_crds.py kubeflow_trainer_api-<version>-py3-none-any.whl

Field names and types are read from the models in the PyPI package `kubeflow-trainer-api` (Apache-2.0), the built-in
parts (Pod templates) from the schema tables. What models cannot say (defaults, enums, list types, rules, columns) is
in `crd_overlay`. Writes `src/fairlead/data/crds.json.xz`: a list of CustomResourceDefinitions, schemas inlined.
"""

from __future__ import annotations

import ast
import json
import lzma
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crd_overlay

from fairlead.machinery import tables

Schema = dict[str, Any]
OUTPUT = Path(__file__).parents[1] / "src" / "fairlead" / "data" / "crds.json.xz"
SCALARS: dict[str, Schema] = {
    "StrictStr": {"type": "string"},
    "StrictInt": {"type": "integer", "format": "int32"},
    "StrictBool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "Any": {"x-kubernetes-preserve-unknown-fields": True},
}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
EMBEDDED_META: Schema = {
    "type": "object",
    "properties": {
        "annotations": TEXTS, "labels": TEXTS, "name": {"type": "string"}, "namespace": {"type": "string"},
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
}  # fmt: skip
SPECIAL: dict[str, Schema] = {
    "api.resource.Quantity": {**crd_overlay.INT_OR_STRING, "pattern": crd_overlay.QUANTITY},
    "util.intstr.IntOrString": crd_overlay.INT_OR_STRING,
    "apis.meta.v1.Time": {"type": "string", "format": "date-time"},
    "apis.meta.v1.MicroTime": {"type": "string", "format": "date-time"},
    "apis.meta.v1.FieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "runtime.RawExtension": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "apis.meta.v1.ObjectMeta": EMBEDDED_META,
}
KEPT = ("type", "format", "required", "default", "enum", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type")  # fmt: skip


class Models:
    """The classes of the package: name to {field: (annotation, required)}."""

    def __init__(self, wheel: Path) -> None:
        self._fields: dict[str, dict[str, tuple[ast.expr, bool]]] = {}
        with zipfile.ZipFile(wheel) as files:
            for name in files.namelist():
                if re.search(r"models/(jobset|trainer|scheduling)_\w+\.py$", name):
                    self._read(ast.parse(files.read(name)))
        self._built_in = {camel(name): name for name in tables.names()}

    def _read(self, module: ast.Module) -> None:
        for statement in module.body:
            if isinstance(statement, ast.ClassDef):
                self._fields[statement.name] = dict(model_fields(statement))

    def schema(self, name: str) -> Schema:
        """The schema of a model, with what the overlay says of the model and of its fields."""
        properties, required = {}, []
        for field, (annotation, needed) in self._fields[name].items():
            said = crd_overlay.FIELDS.get(f"{name}.{field}", {})
            properties[field] = merged(self._of(annotation), said)
            if needed:
                required.append(field)
        made: Schema = {"type": "object", "properties": properties}
        if required:
            made["required"] = sorted(required)
        return merged(made, crd_overlay.MODELS.get(name, {}))

    def _of(self, annotation: ast.expr) -> Schema:
        match annotation:
            case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
                return self._of(inner)
            case ast.Subscript(value=ast.Name(id="List"), slice=inner):
                return {"type": "array", "items": self._of(inner)}
            case ast.Subscript(value=ast.Name(id="Dict"), slice=ast.Tuple(elts=[_, ast.Name(id="Any")])):
                return {"type": "object"}
            case ast.Subscript(value=ast.Name(id="Dict"), slice=ast.Tuple(elts=[_, inner])):
                return {"type": "object", "additionalProperties": self._of(inner)}
            case ast.Name(id=name) if name in SCALARS:
                return dict(SCALARS[name])
            case ast.Name(id=name) if name in self._built_in:
                return inlined(self._built_in[name])
            case ast.Name(id=name) if name in self._fields:
                return self.schema(name)
        raise SystemExit(f"cannot read the annotation {ast.unparse(annotation)}")


def model_fields(model: ast.ClassDef) -> Iterator[tuple[str, tuple[ast.expr, bool]]]:
    """(wire name, (annotation, is required)) of a pydantic model's fields."""
    for statement in model.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        name = statement.target.id
        if name.startswith("_") or name in {"model_config", "additional_properties"}:
            continue
        options: dict[str, Any] = {}
        if isinstance(statement.value, ast.Call):
            options = {k.arg: k.value for k in statement.value.keywords if k.arg}
        alias = options.get("alias")
        wire = alias.value if isinstance(alias, ast.Constant) else name
        yield wire, (statement.annotation, statement.value is not None and "default" not in options
                     and isinstance(statement.value, ast.Call))  # fmt: skip


def camel(definition: str) -> str:
    """`io.k8s.api.core.v1.EnvVar` as the models call it: `IoK8sApiCoreV1EnvVar`."""
    return "".join(part[:1].upper() + part[1:] for part in definition.split("."))


def inlined(definition: str) -> Schema:
    """A built-in definition as a structural schema, everything that it refers to in place."""
    special = SPECIAL.get(definition.removeprefix("io.k8s.apimachinery.pkg."))
    if special is not None:
        return json.loads(json.dumps(special))  # type: ignore[no-any-return]
    node = tables.definition(definition)
    made = structural(node)
    for field, said in crd_overlay.BUILT_IN.get(definition.removeprefix("io.k8s.api."), {}).items():
        made["properties"][field] = merged(made["properties"][field], said)
    return made


def structural(node: Schema) -> Schema:
    if "$ref" in node:
        own = {k: v for k, v in node.items() if k in KEPT}
        return merged(inlined(node["$ref"].removeprefix("#/definitions/")), own)
    made = {k: node[k] for k in KEPT if k in node}
    if not made.get("type"):
        made["x-kubernetes-preserve-unknown-fields"] = True
    if "properties" in node:
        made["properties"] = {k: structural(v) for k, v in node["properties"].items()}
    if "items" in node:
        made["items"] = structural(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = structural(node["additionalProperties"])
    complete_keys(made)
    return made


def complete_keys(node: Schema) -> None:
    """Keys of a list map that are not required need a default."""
    items = node.get("items", {})
    for key in node.get("x-kubernetes-list-map-keys", ()):
        if key not in items.get("required", ()) and "default" not in items["properties"][key]:
            items["properties"][key]["default"] = "TCP" if key == "protocol" else ""


def merged(schema: Schema, said: Schema) -> Schema:
    """A schema with what the overlay says of it; nested schemas are merged, everything else is replaced."""
    made = dict(schema)
    for key, value in said.items():
        nested = key in {"items", "properties", "additionalProperties"} or isinstance(made.get(key), dict)
        made[key] = merged(made.get(key, {}), value) if nested and isinstance(value, dict) else value
    return made


def definition(models: Models, kind: crd_overlay.Kind) -> Schema:
    """The whole CustomResourceDefinition."""
    schema = json.loads(json.dumps(kind.schema)) if kind.schema is not None else models.schema(kind.model)
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"].pop("$schema", None)
    version: Schema = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if kind.status:
        version["subresources"] = {"status": {}}
    if kind.columns:
        version["additionalPrinterColumns"] = list(kind.columns)
    names: Schema = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.short:
        names["shortNames"] = list(kind.short)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "names": names, "scope": kind.scope, "versions": [version]},
    }


def main() -> None:
    models = Models(Path(sys.argv[1]))
    made = [definition(models, kind) for kind in crd_overlay.KINDS]
    plain = json.dumps(made, separators=(",", ":")).encode()
    packed = lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)
    OUTPUT.write_bytes(packed)
    print(f"{len(made)} definitions, {len(plain)} bytes, {len(packed)} packed")


if __name__ == "__main__":
    main()
