"""Protobuf request bodies: decodes `application/vnd.kubernetes.protobuf` to the plain object that JSON would give.

Go clients send it for built-in kinds (client-go 0.32 and later prefer it) and do not fall back. A body is four magic
bytes and a `runtime.Unknown`, which names the type and holds its message. What a message's fields are is in a table of
Go types (`machinery.tables.protobuf`); a type is compiled when it is first met.

Go writes every scalar that is no pointer, also when it is zero: such a zero is dropped where Go's JSON would drop it
(`omitempty`), while a pointer's zero (`replicas: 0`) is kept. Fields that are not known are skipped, as protobuf asks.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from fairlead.base import errors
from fairlead.machinery import tables

MEDIA = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

Raw = int | bytes
"""A field's value on the wire: a varint, or bytes (also those of fixed-width numbers)."""
Read = Callable[[Any], Any]
"""Makes a value of a raw one. `b""` stands for a message that has nothing."""

_META = "k8s.io/apimachinery/pkg/apis/meta/v1"
_EXTENSIONS = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
_PACKAGES: Final = {"apiextensions.k8s.io": "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"}
_ANY_GROUP: Final = frozenset(("DeleteOptions", "CreateOptions", "PatchOptions", "UpdateOptions", "Status"))
_IMPORTS: Final = {"resource": "k8s.io/apimachinery/pkg/api/resource", "metav1": _META}


class _Malformed(Exception):
    """The bytes are no message of the type."""


class _Field(NamedTuple):
    """How one field is read. `many`: it repeats; `pairs`: it is a map; `inline`: its fields are the parent's."""

    json: str
    read: Read
    many: bool
    pairs: tuple[Read, Read] | None
    inline: bool
    packed: bool
    drop_zero: bool


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body. 400 when it is malformed, 415 when its type has no known message (custom kinds)."""
    if not body.startswith(MAGIC):
        raise errors.bad_request("the request's body is not protobuf: it does not begin with 'k8s' and a zero byte")
    try:
        kind, version, raw = _unknown(body[len(MAGIC) :])
        name = _go_type(version, kind)
        if name not in tables.protobuf():
            text = f"protobuf is not served for {version} {kind}; send application/json"
            raise errors.unsupported_media_type(text)
        return {"apiVersion": version, "kind": kind, **_message(name)(raw)}
    except (_Malformed, ValueError, OSError, OverflowError, struct.error, RecursionError) as error:
        raise errors.bad_request(f"the request's body is malformed protobuf: {error}") from None


def _unknown(data: bytes) -> tuple[str, str, bytes]:
    """kind, apiVersion and message of a `runtime.Unknown`."""
    fields = {number: raw for number, raw in _fields(data) if isinstance(raw, bytes)}
    types = {number: raw for number, raw in _fields(fields.get(1, b"")) if isinstance(raw, bytes)}
    return types.get(2, b"").decode(), types.get(1, b"").decode(), fields.get(2, b"")


def _go_type(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind in _ANY_GROUP:
        return f"{_META}.{kind}"
    package = _PACKAGES.get(group) or f"k8s.io/api/{group.partition('.')[0] or 'core'}"
    return f"{package}/{version}.{kind}"


# --- the wire ------------------------------------------------------------------------------------------------------


def _fields(data: Raw) -> Iterator[tuple[int, Raw]]:
    """The fields of a message: number and raw value, in order."""
    if not isinstance(data, bytes):
        raise _Malformed("a number where a message is expected")
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value: Raw
                value, at = _varint(data, at)
            case 2:
                size, at = _varint(data, at)
                value, at = data[at : at + size], at + size
            case 1:
                value, at = data[at : at + 8], at + 8
            case 5:
                value, at = data[at : at + 4], at + 4
            case other:
                raise _Malformed(f"wire type {other} at byte {at}")
        if at > end:
            raise _Malformed(f"field {tag >> 3} is longer than its message")
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise _Malformed("a number ends too early")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Malformed("a number is longer than 64 bits")


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


# --- values --------------------------------------------------------------------------------------------------------


def _text(raw: Any) -> str:
    if not isinstance(raw, bytes):
        raise _Malformed("a number where a text is expected")
    return raw.decode()


def _integer(raw: Any) -> int:
    if not isinstance(raw, int):
        if raw == b"":
            return 0  # a map's entry without a value
        raise _Malformed("bytes where a number is expected")
    return raw - (1 << 64) if raw >> 63 & 1 else raw


def _boolean(raw: Any) -> bool:
    return bool(_integer(raw))


def _double(raw: Any) -> float:
    return float(struct.unpack("<d", raw)[0])


def _base64(raw: Any) -> str:
    if not isinstance(raw, bytes):
        raise _Malformed("a number where bytes are expected")
    return base64.b64encode(raw).decode()


def _first(number: int, data: bytes, default: Raw) -> Raw:
    return next((raw for n, raw in _fields(data) if n == number), default)


def _quantity(raw: Any) -> str:
    return _text(_first(1, raw, b"")) or "0"


def _int_or_string(raw: Any) -> int | str:
    fields = dict(_fields(raw))
    return _text(fields.get(3, b"")) if fields.get(1) else _integer(fields.get(2, 0))


def _moment(raw: bytes) -> tuple[int, int] | None:
    """Seconds and nanoseconds; None for Go's zero time, which is written as nothing."""
    fields = dict(_fields(raw))
    return (_integer(fields.get(1, 0)), _integer(fields.get(2, 0))) if fields else None


def _time(raw: Any) -> str | None:
    moment = _moment(raw)
    return datetime.fromtimestamp(moment[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _micro_time(raw: Any) -> str | None:
    moment = _moment(raw)
    if moment is None:
        return None
    whole = datetime.fromtimestamp(moment[0], UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{moment[1] // 1000:06d}Z"


def _embedded(raw: Any) -> Any:
    """Bytes that are JSON (RawExtension, FieldsV1, apiextensions' JSON)."""
    text = _first(1, raw, b"")
    return msgspec.json.decode(text) if isinstance(text, bytes) and text else None


def _items(raw: Any) -> list[str]:
    """A Go type that is a list of texts has a message of its own where it stands alone."""
    return [_text(item) for number, item in _fields(raw) if number == 1]


def _json_schema(raw: Any) -> dict[str, Any]:
    return _message(f"{_EXTENSIONS}.JSONSchemaProps")(raw)


def _schema_or(second: Callable[[list[Raw]], Any]) -> Read:
    """JSON schema's unions: a schema (field 1), or something else (field 2)."""

    def read(raw: Any) -> Any:
        fields = list(_fields(raw))
        schema = next((value for number, value in fields if number == 1), None)
        if schema is not None and second is not _allows:
            return _json_schema(schema)
        return second([value for number, value in fields if number == 2] or ([] if schema is None else [schema]))

    return read


def _allows(values: list[Raw]) -> Any:
    """JSONSchemaPropsOrBool has the boolean first and the schema second."""
    if values and isinstance(values[0], bytes):
        return _json_schema(values[0])
    return bool(values and values[0])


_SCALARS: Final[Mapping[str, Read]] = {
    "string": _text, "bool": _boolean, "float64": _double, "[]byte": _base64,
    **dict.fromkeys(("int", "int32", "int64", "uint32", "uint64", "uint8", "byte"), _integer),
}  # fmt: skip

_SPECIAL: Final[Mapping[str, Read]] = {
    "k8s.io/apimachinery/pkg/api/resource.Quantity": _quantity,
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": _int_or_string,
    f"{_META}.Time": _time,
    f"{_META}.MicroTime": _micro_time,
    f"{_META}.FieldsV1": _embedded,
    "k8s.io/apimachinery/pkg/runtime.RawExtension": _embedded,
    f"{_EXTENSIONS}.JSON": _embedded,
    f"{_EXTENSIONS}.CustomResourceSubresourceStatus": lambda _: {},
    f"{_EXTENSIONS}.JSONSchemaPropsOrBool": _schema_or(_allows),
    f"{_EXTENSIONS}.JSONSchemaPropsOrArray": _schema_or(lambda many: [_json_schema(schema) for schema in many]),
    f"{_EXTENSIONS}.JSONSchemaPropsOrStringArray": _schema_or(lambda many: [_text(text) for text in many]),
}


# --- messages ------------------------------------------------------------------------------------------------------


@cache
def _message(name: str) -> Callable[[Any], dict[str, Any]]:
    """The reader of a Go type's message. Its fields are compiled on first use, since types are recursive."""
    plan: dict[int, _Field] = {}

    def read(raw: Any) -> dict[str, Any]:
        if not plan:
            plan.update(_compile(name))
        if not isinstance(raw, bytes):
            raise _Malformed(f"a number where a {name} is expected")
        found: dict[str, Any] = {}
        for number, value in _fields(raw):
            field = plan.get(number)
            if field is not None:
                _put(found, field, value)
        return found

    return read


def _put(found: dict[str, Any], field: _Field, raw: Raw) -> None:
    if field.pairs is not None:
        entry = dict(_fields(raw)) if isinstance(raw, bytes) else {}
        key, value = field.pairs
        found.setdefault(field.json, {})[key(entry.get(1, b""))] = value(entry.get(2, b""))
    elif field.many:
        items = found.setdefault(field.json, [])
        if field.packed and isinstance(raw, bytes):
            items += [field.read(number) for number in _varints(raw)]
        else:
            items.append(field.read(raw))
    elif field.inline:
        found.update(field.read(raw))
    else:
        value = field.read(raw)
        if value is not None and not (field.drop_zero and not value):
            found[field.json] = value


def _compile(name: str) -> dict[int, _Field]:
    entry = tables.protobuf()[name]
    package = name.rpartition(".")[0]
    plan = {}
    for field in entry["fields"]:
        text = field["go"].removeprefix("*")
        many, pairs, read, scalar = _shape(text, package, _IMPORTS | entry["imports"])
        plan[field["n"]] = _Field(
            json=field["json"], read=read, many=many, pairs=pairs, inline=bool(field.get("inline")),
            packed=many and scalar and read in (_integer, _boolean),
            drop_zero=scalar and not field["go"].startswith("*") and bool(field.get("omitempty")),
        )  # fmt: skip
    return plan


def _shape(text: str, package: str, imports: Mapping[str, str]) -> tuple[bool, tuple[Read, Read] | None, Read, bool]:
    """Of a Go type: does it repeat, the readers of a map's pairs, the reader of one value, and is that a scalar?"""
    if text in _SCALARS:
        return False, None, _SCALARS[text], True
    if text.startswith("[]"):
        return True, None, *_shape(text[2:].removeprefix("*"), package, imports)[2:]
    if text.startswith("map["):
        key, _, value = text[4:].partition("]")
        read = _shape(value.removeprefix("*"), package, imports)[2]
        return False, (_shape(key, package, imports)[2], read), read, False
    prefix, _, bare = text.rpartition(".")
    full = f"{imports.get(prefix, prefix) if prefix else package}.{bare}"
    if full in _SPECIAL:
        return False, None, _SPECIAL[full], False
    known = tables.protobuf().get(full)
    if known is None:
        return False, None, _text, True  # a named text of a package without messages (types.UID)
    if "alias" not in known:
        return False, None, _message(full), False
    if known["alias"] == "[]string":
        return False, None, _items, False
    return _shape(known["alias"], full.rpartition(".")[0], imports)
