"""Shape: does a body speak of the object that the URL names, and does it fit the kind's schema?

Here an object is brought into form (`schema.conform`): unknown fields go, and by `fieldValidation` they are an error
(Strict, 400), a warning (Warn, the default) or nothing (Ignore). So are fields that the body names twice.
"""

from __future__ import annotations

from fairlead.apiserver.state import Call, Plain
from fairlead.base import errors
from fairlead.machinery import causes, schema


def fit(call: Call, obj: Plain) -> None:
    """Fill in apiVersion, kind and namespace from the URL; 400 where the body says something else."""
    resource = call.served.resource
    _agree(obj, "apiVersion", resource.api_version, "API version")
    if call.served.crd is not None and obj.get("kind", resource.kind) != resource.kind:
        raise _other_kind(call, obj)
    _agree(obj, "kind", resource.kind, "kind")
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise errors.bad_request(f"{resource.kind}: metadata must be an object")
    _fit_namespace(call, metadata)
    name = metadata.get("name")
    if call.name and name != call.name:
        if name:
            raise errors.bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({call.name})"
            )
        raise errors.bad_request("name must be provided")


def _other_kind(call: Call, obj: Plain) -> errors.StatusError:
    """Upstream reads custom objects of whichever kind, and finds out while it validates."""
    metadata, kind = obj.get("metadata"), obj["kind"]
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    cause = causes.invalid("kind", kind, f"must be {call.served.resource.kind}")
    return errors.invalid(str(kind), call.served.resource.group, name, [cause])


def _agree(obj: Plain, field: str, want: str, words: str) -> None:
    have = obj.get(field)
    if not have:
        obj[field] = want
    elif have != want:
        raise errors.bad_request(f"the {words} in the data ({have}) does not match the expected {words} ({want})")


def _fit_namespace(call: Call, metadata: Plain) -> None:
    sent = metadata.get("namespace")
    if not call.served.resource.namespaced:
        metadata.pop("namespace", None)
    elif not sent:
        metadata["namespace"] = call.namespace
    elif sent != call.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def conform(call: Call, obj: Plain) -> None:
    """Bring `obj` into its schema's form, in place."""
    found = schema.conform(call.served.structure, obj)
    if found.problems:
        raise _unfit(call, obj, "; ".join(found.problems), call.patched and call.served.crd is None)
    wrong = _with_repeated(call, found.unknown) if call.repeated else found.unknown
    if wrong and call.validation == "Strict":
        raise _unfit(call, obj, "strict decoding error: " + ", ".join(wrong), call.patched)
    if wrong and call.validation == "Warn":
        for text in wrong:
            call.warn(text)


def _with_repeated(call: Call, unknown: list[str]) -> list[str]:
    """What is wrong, with the fields that are named twice: first for a custom kind, else in the order of the body."""
    twice = {path: f'duplicate field "{path}"' for path, more in call.repeated.items() if more}
    if call.served.crd is not None:
        return [*twice.values(), *unknown]
    left = {text.partition('"')[2][:-1]: text for text in unknown}
    wrong: list[str] = []
    for path in call.repeated:
        wrong += [text for text in (left.pop(path, None), twice.get(path)) if text is not None]
    return [*wrong, *left.values()]


def _unfit(call: Call, obj: Plain, why: str, patched: bool) -> errors.StatusError:
    """400 for a body; 422 for a patch, with what it made of the object, as upstream."""
    if patched:
        return errors.invalid("", "", "", [causes.invalid("patch", causes.spelled(obj), why)])
    resource = call.served.resource
    return errors.bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}'
    )
