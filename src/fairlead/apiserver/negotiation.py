"""What form the client wants its answer in (Accept), and what form it sent its body in (Content-Type).

Answers are JSON, always. `as=Table` and `as=PartialObjectMetadata(List)` ask for another object in that JSON; the
first choice that can be served wins. A body without a content type is JSON, because some clients send none.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from fairlead.apiserver import bodies, protobuf
from fairlead.apiserver.table import Version
from fairlead.base import errors

_ANY = ("application/json", "application/*", "*/*")


class Form(msgspec.Struct, frozen=True):
    """The form of an answer. `version` is that of `meta.k8s.io`, for a Table or for partial metadata."""

    kind: Literal["object", "table", "metadata"] = "object"
    version: Version = "v1"


OBJECT = Form()
_AS: dict[str, Literal["table", "metadata"]] = {
    "Table": "table", "PartialObjectMetadata": "metadata", "PartialObjectMetadataList": "metadata",
}  # fmt: skip


def accepted(accept: str) -> Form:
    """The form to answer in; 406 when the client takes nothing that is served."""
    if not accept or accept in _ANY:
        return OBJECT
    for choice in accept.split(","):
        form = _form(choice)
        if form is not None:
            return form
    raise errors.not_acceptable(
        "only the following media types are accepted: application/json, application/json;as=Table"
    )


def _form(choice: str) -> Form | None:
    media, _, rest = choice.strip().partition(";")
    if media.strip() not in _ANY:
        return None
    parameters = dict(p.strip().split("=", 1) for p in rest.split(";") if "=" in p) if rest else {}
    as_ = parameters.get("as")
    if as_ is None:
        return OBJECT
    version = parameters.get("v", "v1")
    if as_ not in _AS or parameters.get("g") != "meta.k8s.io" or version not in ("v1", "v1beta1"):
        return None
    return Form(_AS[as_], "v1" if version == "v1" else "v1beta1")


def body(data: bytes, content_type: str) -> dict[str, Any]:
    """A request's body as an object; 415 for a content type that is not understood."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", "application/json"):
        return bodies.json_object(data)
    if media == protobuf.MEDIA:
        return bodies.limited(protobuf.decode(data))
    if media in ("application/yaml", "application/x-yaml", "text/yaml"):
        return bodies.yaml_object(data)
    raise errors.unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        f"application/json, application/yaml, {protobuf.MEDIA}"
    )
