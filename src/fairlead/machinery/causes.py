"""Makes the causes of an Invalid answer, each with upstream's reason and wording (`field.Error`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from fairlead.base.errors import Cause

Causes = list[Cause]
IMMUTABLE = "field is immutable"
UNTOLD = object()
"""As a value: one that the message leaves out."""


def invalid(path: str, value: Any, detail: str) -> Cause:
    shown = "" if value is UNTOLD else f"{spelled(value)}: "
    return Cause("FieldValueInvalid", f"Invalid value: {shown}{detail}", path)


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    return Cause("FieldValueTypeInvalid", f"Invalid value: {spelled(value)}: {detail}", path)


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", path)


def duplicate(path: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {spelled(value)}", path)


def not_supported(path: str, value: Any, supported: Iterable[Any]) -> Cause:
    choices = ", ".join(spelled(s) for s in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {spelled(value)}: supported values: {choices}", path)


def not_found(path: str, value: Any) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {spelled(value)}", path)


def forbidden(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def too_long(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def too_many(path: str, actual: int, limit: int) -> Cause:
    return Cause("FieldValueTooMany", f"Too many: {actual}: must have at most {limit} items", path)


def immutable(path: str, new: Any, old: Any) -> Causes:
    """The cause when a field that may not change has changed."""
    return [] if new == old else [invalid(path, new, IMMUTABLE)]


def within(path: str, causes: Causes) -> Causes:
    """Causes of a part, told from the whole's root."""
    return [Cause(c.reason, c.message, f"{path}.{c.field}" if c.field else path) for c in causes]


def spelled(value: Any) -> str:
    """A value as it appears in a message: JSON."""
    return msgspec.json.encode(value).decode()
