"""What every kind has: `Resource` describes it, `ObjectMeta` is its metadata."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")
U = TypeVar("U")


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of every view: frozen, defaults left out when encoded."""


class OwnerReference(View, frozen=True):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    blockOwnerDeletion: bool = False


class ObjectMeta(View, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: str | None = None
    deletionTimestamp: str | None = None
    deletionGracePeriodSeconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    ownerReferences: list[OwnerReference] = []

    @property
    def deleting(self) -> bool:
        return self.deletionTimestamp is not None

    @property
    def controller(self) -> OwnerReference | None:
        """The one owner that manages this object, if any."""
        return next((o for o in self.ownerReferences if o.controller), None)


class Key(NamedTuple):
    """The place of an object among those of its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Object(View, frozen=True):
    """The metadata of any object: what the garbage collector and the informer's index read."""

    apiVersion: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> Key:
        return Key(self.metadata.namespace, self.metadata.name)


class Condition(View, frozen=True):
    """`metav1.Condition`, and the older per-kind conditions that have the same core."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    lastTransitionTime: str | None = None
    lastProbeTime: str | None = None
    lastHeartbeatTime: str | None = None
    observedGeneration: int = 0


class Resource(msgspec.Struct, Generic[T], frozen=True):
    """A kind as the API serves it. `view` is the type its objects decode to in code that decides.

    Equality and hash are of (group, version, plural): two views of one kind are the same resource.
    """

    group: str
    version: str
    kind: str
    plural: str
    view: type[T]
    singular: str = ""
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False
    """Has a `status` subresource."""
    scale: bool = False
    """Has a `scale` subresource."""
    schema: str = ""
    """Definition name in the schema tables (built-in kinds); empty for kinds from a CustomResourceDefinition."""
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def gvr(self) -> tuple[str, str, str]:
        return (self.group, self.version, self.plural)

    @property
    def qualified(self) -> str:
        """`jobs.batch`, `pods`: how messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __hash__(self) -> int:
        return hash(self.gvr)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and self.gvr == other.gvr

    def seen_as(self, view: type[U]) -> Resource[U]:
        """The same kind with another view, for instance `dict` or `Object`."""
        fields = {f: getattr(self, f) for f in self.__struct_fields__}
        return Resource(**(fields | {"view": view}))

    @property
    def plain(self) -> Resource[dict[str, Any]]:
        """The same kind, decoded to plain dicts."""
        return self.seen_as(dict)
