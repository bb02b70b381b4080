"""Access: roles and their bindings."""

from __future__ import annotations

from typing import Any

from fairlead.api.rbac import GROUP
from fairlead.apiserver.table import printer
from fairlead.apiserver.table.printer import AGE, NAME, Column, Plain, Printer, part, parts


def _role(role: Plain, now: float) -> list[Any]:
    return [printer.name(role), role["metadata"].get("creationTimestamp", "")]


def _binding(binding: Plain, now: float) -> list[Any]:
    reference = part(binding, "roleRef")
    subjects = parts(binding, "subjects")

    def named(kind: str) -> str:
        return ", ".join(_subject(s) for s in subjects if s.get("kind") == kind)

    role = f"{reference.get('kind', '')}/{reference.get('name', '')}"
    shown = [named(kind) for kind in ("User", "Group", "ServiceAccount")]
    return [printer.name(binding), role, printer.age(binding, now), *shown]


def _subject(subject: Plain) -> str:
    name: str = subject["name"]
    return f"{subject.get('namespace', '')}/{name}" if subject["kind"] == "ServiceAccount" else name


_ROLE = Printer((NAME, Column("Created At", "date")), _role)
_BINDING = Printer((NAME, *printer.texts("Role"), AGE, *printer.wide("Users", "Groups", "ServiceAccounts")), _binding)

PRINTERS: dict[tuple[str, str], Printer] = {
    (GROUP, "roles"): _ROLE,
    (GROUP, "clusterroles"): _ROLE,
    (GROUP, "rolebindings"): _BINDING,
    (GROUP, "clusterrolebindings"): _BINDING,
}
