"""apiextensions.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from fairlead.api.meta import Condition, Object, Resource, View


class Names(View, frozen=True):
    plural: str
    kind: str
    singular: str = ""
    listKind: str = ""
    shortNames: list[str] = []
    categories: list[str] = []


class Column(View, frozen=True):
    name: str
    type: str
    jsonPath: str
    format: str = ""
    description: str = ""
    priority: int = 0


class ScaleSubresource(View, frozen=True):
    specReplicasPath: str
    statusReplicasPath: str
    labelSelectorPath: str = ""


class Subresources(View, frozen=True):
    status: dict[str, Any] | None = None
    scale: ScaleSubresource | None = None


class CrdSchema(View, frozen=True):
    openAPIV3Schema: dict[str, Any] = {}


class SelectableField(View, frozen=True):
    jsonPath: str


class Version(View, frozen=True):
    name: str
    served: bool = True
    storage: bool = False
    deprecated: bool = False
    schema: CrdSchema = CrdSchema()
    subresources: Subresources = Subresources()
    additionalPrinterColumns: list[Column] = []
    selectableFields: list[SelectableField] = []


class CrdSpec(View, frozen=True):
    group: str
    names: Names
    scope: str
    versions: list[Version]
    preserveUnknownFields: bool = False


class CrdStatus(View, frozen=True):
    conditions: list[Condition] = []
    storedVersions: list[str] = []


class CustomResourceDefinition(Object, frozen=True, kw_only=True):
    spec: CrdSpec
    status: CrdStatus = CrdStatus()


CRDS: Resource[CustomResourceDefinition] = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", CustomResourceDefinition,
    singular="customresourcedefinition", namespaced=False, short=("crd", "crds"), categories=("api-extensions",),
    status=True,
    schema="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
)  # fmt: skip

RESOURCES: tuple[Resource[Any], ...] = (CRDS,)
