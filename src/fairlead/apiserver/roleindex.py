"""RoleIndex: the RBAC objects of the store, by what authorization asks for (`rbac.Roles`).

It is the hook of the four kinds: what a write has changed holds for the very next request. It reads the live entry
after each write and not the write's own value, so that the order in which two writers are told does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fairlead.api import rbac as kinds
from fairlead.apiserver import encoding
from fairlead.apiserver.rbac import Rule
from fairlead.apiserver.state import Plain
from fairlead.store.mvcc import Store

_PREFIX = f"/registry/{kinds.GROUP}/"
_NO_RULES: Sequence[Rule] = ()
KINDS = tuple(resource.gvr for resource in kinds.RESOURCES)


class RoleIndex:
    """`start` reads what is stored; `wrote` follows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.generation = 0
        self._roles: dict[tuple[str, str, str], Sequence[Rule]] = {}
        self._cluster_bindings: dict[str, Plain] = {}
        self._bindings: dict[str, dict[str, Plain]] = {}

    def start(self) -> None:
        """Take in all that is stored."""
        for entry in self._store.list(_PREFIX).entries:
            self.wrote(entry.key, entry.value, removed=False)

    # --- the hook --------------------------------------------------------------------------------------------------

    def prepare(self, obj: Plain) -> None:
        """Nothing is filled in."""

    def wrote(self, key: str, value: bytes, *, removed: bool) -> None:
        """Follow a write."""
        plural, _, place = key[len(_PREFIX) :].partition("/")
        namespace, _, name = place.rpartition("/")
        entry = self._store.get(key)
        obj = encoding.decode(entry.value) if entry is not None else None
        match plural:
            case "roles" | "clusterroles":
                self._keep_role(("Role" if plural == "roles" else "ClusterRole", namespace, name), obj)
            case "clusterrolebindings":
                _keep(self._cluster_bindings, name, obj)
            case "rolebindings":
                _keep(self._bindings.setdefault(namespace, {}), name, obj)
                if not self._bindings[namespace]:
                    del self._bindings[namespace]
        self.generation += 1

    def _keep_role(self, key: tuple[str, str, str], obj: Plain | None) -> None:
        if obj is None:
            self._roles.pop(key, None)
        else:
            self._roles[key] = obj.get("rules") or _NO_RULES

    # --- what authorization asks -----------------------------------------------------------------------------------

    def cluster_bindings(self) -> Iterable[Plain]:
        """All ClusterRoleBindings."""
        return self._cluster_bindings.values()

    def bindings(self, namespace: str) -> Iterable[Plain]:
        """The RoleBindings of a namespace."""
        return self._bindings.get(namespace, {}).values()

    def rules(self, kind: str, namespace: str, name: str) -> Sequence[Rule] | None:
        """The rules of a role; None when it does not exist."""
        return self._roles.get((kind, namespace if kind == "Role" else "", name))


def _keep(table: dict[str, Plain], name: str, obj: Any) -> None:
    if obj is None:
        table.pop(name, None)
    else:
        obj["metadata"] = {"name": name}
        table[name] = obj
