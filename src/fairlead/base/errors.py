"""StatusError: every failure that a client may see, with Kubernetes' codes and reasons.

Source: apimachinery's `metav1.Status` and `metav1.StatusReason`. The constructors below are the only places that
choose a code, so that a reason always travels with the code that upstream gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Cause:
    """One entry of `status.details.causes`: a rule that a field breaks."""

    __slots__ = ("field", "message", "reason")

    def __init__(self, reason: str, message: str, field: str) -> None:
        self.reason, self.message, self.field = reason, message, field

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cause) and self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash((self.reason, self.message, self.field))

    def __repr__(self) -> str:
        return f"Cause({self.reason!r}, {self.message!r}, {self.field!r})"

    def as_dict(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class StatusError(Exception):
    """An error with a `metav1.Status`: HTTP code, machine-readable reason, message for people, details."""

    def __init__(self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details: dict[str, Any] = dict(details or {})

    def as_status(self) -> dict[str, Any]:
        """The `metav1.Status` object, as a server answers it."""
        status: dict[str, Any] = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        }  # fmt: skip
        if self.details:
            status["details"] = self.details
        if not self.reason:
            del status["reason"]
        return status

    @classmethod
    def from_status(cls, status: Mapping[str, Any], code: int = 500) -> StatusError:
        """The error in an answered `metav1.Status`; `code` is used where the answer has none."""
        return cls(
            int(status.get("code") or code), str(status.get("reason") or ""),
            str(status.get("message") or "unknown error"), status.get("details"),
        )  # fmt: skip


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, group: str, name: str) -> StatusError:
    details = {"name": name, "group": group, "kind": resource}
    return StatusError(404, "NotFound", f'{_qualified(resource, group)} "{name}" not found', _filled(details))


def path_not_found() -> StatusError:
    """No such API path: a group, version or resource that is not served."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: str, group: str, name: str) -> StatusError:
    details = {"name": name, "group": group, "kind": resource}
    return StatusError(409, "AlreadyExists", f'{_qualified(resource, group)} "{name}" already exists', _filled(details))


def conflict(resource: str, group: str, name: str, why: str, causes: Sequence[Cause] = ()) -> StatusError:
    details: dict[str, Any] = _filled({"name": name, "group": group, "kind": resource})
    if causes:
        details["causes"] = [c.as_dict() for c in causes]
    message = f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, details)


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 with a field path per broken rule. The message lists `field: message` as upstream's aggregate does."""
    listed = list(dict.fromkeys(f"{c.field}: {c.message}" if c.field else c.message for c in causes))
    text = listed[0] if len(listed) == 1 else "[" + ", ".join(listed) + "]"
    details = _filled({"name": name, "group": group, "kind": kind})
    details["causes"] = [c.as_dict() for c in causes]
    return StatusError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    return StatusError(401, "Unauthorized", message)


def forbidden(resource: str, group: str, name: str, why: str) -> StatusError:
    where = f'{_qualified(resource, group)} "{name}"' if name else _qualified(resource, group)
    return StatusError(403, "Forbidden", f"{where} is forbidden: {why}",
                       _filled({"name": name, "group": group, "kind": resource}))  # fmt: skip


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_acceptable(message: str) -> StatusError:
    return StatusError(406, "NotAcceptable", message)


def unsupported_media_type(message: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", message)


def expired(message: str) -> StatusError:
    """410: the resourceVersion or the continue token is older than what is kept."""
    return StatusError(410, "Expired", message)


def too_large(limit: int) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def too_many_requests(message: str, retry_seconds: int) -> StatusError:
    return StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_seconds})


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}")


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def timeout(message: str) -> StatusError:
    return StatusError(504, "Timeout", message)


def _filled(details: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in details.items() if v}
