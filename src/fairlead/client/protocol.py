"""Client: the Kubernetes API as controllers, scheduler, agent, sdk and cli see it.

Two implementations: `apiserver.local.LocalClient` (in-process) and `client.http.HttpClient`. The conformance suite in
`testing.conformance` holds both to the same answers.

There is no `update`: code that decides holds narrow views, and writing one back would lose fields. Writers apply the
fields they own (server-side apply), patch, or create.

Every method raises `base.errors.StatusError` for an answer that is not a success.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from fairlead.api.meta import Key, Resource

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Json = Mapping[str, Any]


class PatchType(StrEnum):
    """The content types of the four patch kinds."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A list answer. `continues` is the token for the next page; empty on the last."""

    items: Sequence[T]
    revision: str
    continues: str = ""
    remaining: int | None = None


class WatchEvent(msgspec.Struct, Generic[T], frozen=True):
    """`object` is None for a BOOKMARK, which only carries `revision`."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: T | None
    revision: str


class ListOptions(msgspec.Struct, frozen=True):
    """What a list or a watch selects. `revision` and `exact` are for paging and for watches that resume."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continues: str = ""
    revision: str = ""


class WriteOptions(msgspec.Struct, frozen=True):
    """How a write is done. `manager` is the field manager; it is required for an apply."""

    manager: str = "fairlead"
    force: bool = False
    """Apply only: take fields over from other managers instead of a conflict."""
    dry_run: bool = False
    subresource: str = ""
    validation: Literal["Strict", "Warn", "Ignore"] = "Strict"


class DeleteOptions(msgspec.Struct, frozen=True):
    """How a delete is done; None leaves the server's default. `uid` and `revision` are preconditions."""

    grace_seconds: int | None = None
    propagation: Literal["Background", "Foreground", "Orphan"] | None = None
    uid: str = ""
    revision: str = ""


class Binding(msgspec.Struct, frozen=True):
    """Put a Pod on a node. `uid` guards against a Pod that was replaced."""

    pod: Key
    node: str
    uid: str = ""


EVERYTHING = ListOptions()
AS_FAIRLEAD = WriteOptions()
BY_DEFAULT = DeleteOptions()


class Client(Protocol):
    """See the module's text. `namespace=""` means all namespaces in lists and watches, and none for cluster kinds."""

    async def get(self, resource: Resource[T], key: Key, *, subresource: str = "") -> T:
        """One object."""

    async def list(self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING) -> Listing[T]:
        """Objects, one page. managedFields are not in the answer."""

    def watch(
        self, resource: Resource[T], namespace: str = "", options: ListOptions = EVERYTHING
    ) -> AsyncIterator[WatchEvent[T]]:
        """Events after `options.revision` (required), with bookmarks, until closed. 410 when that is too old."""

    async def create(
        self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD, *, name: str = ""
    ) -> T:
        """Create `obj` (its metadata names namespace and name). `name` and a subresource: create that subresource."""

    async def apply(self, resource: Resource[T], obj: Json, options: WriteOptions = AS_FAIRLEAD) -> T:
        """Server-side apply: `obj` holds exactly the fields that `options.manager` owns."""

    async def patch(
        self, resource: Resource[T], key: Key, patch: Any, type_: PatchType, options: WriteOptions = AS_FAIRLEAD
    ) -> T:
        """One of the four patch kinds. A `metadata.resourceVersion` in it is a precondition (409)."""

    async def delete(self, resource: Resource[Any], key: Key, options: DeleteOptions = BY_DEFAULT) -> None:
        """Ask for deletion. Finalizers and grace decide when the object is gone."""

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Bind Pods to nodes: in one commit where the server can (the embedded one), else one after another.

        Raises StatusError at the first that fails; the in-process client then has bound none.
        """

    async def resources(self) -> Sequence[Resource[dict[str, Any]]]:
        """Every kind that the server serves now (discovery; preferred versions only)."""

    async def close(self) -> None:
        """Release connections."""
