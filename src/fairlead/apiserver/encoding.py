"""Objects to bytes and back: the only place that knows how a stored object is spelled.

An object is encoded once, when the store has given it its revision (`metadata.resourceVersion`); the same bytes are
the stored value, the answer to the writer and the line of every watcher.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from fairlead.base import errors
from fairlead.store.mvcc import Encode

Plain = dict[str, Any]

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader: Any = type("_Loader", (_SafeLoader,), {})
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
}
_encoder = msgspec.json.Encoder()
_objects: msgspec.json.Decoder[Plain] = msgspec.json.Decoder(Plain)

encode = _encoder.encode


def decode(data: bytes) -> Plain:
    """A stored or received JSON object. Raises msgspec.DecodeError."""
    return _objects.decode(data)


def received(data: bytes) -> Plain:
    """A request body in JSON, as an object; 400 when it is not one."""
    try:
        return _objects.decode(data)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"the request's body is not a JSON object: {error}") from None


def from_yaml(data: bytes) -> Any:
    """YAML 1.1 to JSON values, as Kubernetes reads it: times stay text, keys become text. Raises yaml.YAMLError."""
    loader = _Loader(data)
    try:
        return _keyed(loader.get_single_data())
    finally:
        loader.dispose()


def _keyed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k if isinstance(k, str) else _encoder.encode(k).decode(): _keyed(v) for k, v in value.items()}
    return [_keyed(v) for v in value] if isinstance(value, list) else value


def copied(value: Any) -> Any:
    """A deep copy of JSON, Structs as dicts: what a caller in this process hands over stays its own."""
    return msgspec.json.decode(_encoder.encode(value))


def stamped(obj: Plain) -> Encode:
    """How `obj` is stored: with the revision of its write as resourceVersion."""
    metadata = obj["metadata"]

    def encode_at(revision: int) -> bytes:
        metadata["resourceVersion"] = str(revision)
        return _encoder.encode(obj)

    return encode_at


def listing(api_version: str, kind: str, metadata: Plain, items: list[bytes]) -> bytes:
    """A list's bytes from the bytes of its items."""
    head = _encoder.encode({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return b"".join((head[:-1], b',"items":[', b",".join(items), b"]}"))


def event(type_: bytes, value: bytes) -> bytes:
    """One line of a watch."""
    return b"".join((b'{"type":"', type_, b'","object":', value, b"}\n"))
