"""Review: one write, as admission plugins see it; Plugin: what they are."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from fairlead.api.meta import Resource
from fairlead.apiserver.state import Api, Call, Plain
from fairlead.base import errors


class Operation(Enum):
    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class Review:
    """`obj` is the new state (mutating plugins change it in place), `old` the live one; each is empty where there is
    none."""

    __slots__ = ("call", "obj", "old", "operation")

    def __init__(self, operation: Operation, call: Call, obj: Plain | None, old: Plain | None) -> None:
        self.operation, self.call, self.obj, self.old = operation, call, obj or {}, old or {}

    @property
    def spec(self) -> Plain:
        """The new state's spec, made if need be."""
        spec: Plain = self.obj.setdefault("spec", {})
        return spec

    def forbid(self, why: str) -> errors.StatusError:
        """403, naming the object."""
        resource = self.call.served.resource
        name = self.obj.get("metadata", {}).get("name") or self.call.name
        return errors.forbidden(resource.plural, resource.group, name, why)


class Plugin(Protocol):
    """One rule of admission."""

    @property
    def name(self) -> str: ...

    def handles(self, resource: Resource[Any], operation: Operation, subresource: str) -> bool:
        """Whether it has anything to say about such requests (asked once and remembered)."""

    def admit(self, api: Api, review: Review) -> None:
        """Change the object, or refuse it."""

    def validate(self, api: Api, review: Review) -> None:
        """Refuse the object as it will be stored."""
