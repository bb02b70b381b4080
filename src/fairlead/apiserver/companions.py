"""Companions: what is created in the same commit as an object, because nobody could use the object without it.

A Namespace comes with its ServiceAccount `default`, so that the next request may create a Pod in it. (The controller
of service accounts makes it anew when somebody deletes it.)
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.api.core import NAMESPACES
from fairlead.apiserver import encoding
from fairlead.apiserver.state import Api, Call, Plain
from fairlead.base import timestamp
from fairlead.store.mvcc import Put

_ACCOUNTS = "/registry/core/serviceaccounts/"


def of(api: Api, call: Call, obj: Plain) -> Sequence[Put]:
    """The further writes of a create."""
    if call.served.resource != NAMESPACES:
        return ()
    namespace = obj["metadata"]["name"]
    key = f"{_ACCOUNTS}{namespace}/default"
    if api.store.get(key) is not None:
        return ()
    metadata = {
        "name": "default", "namespace": namespace, "uid": api.chance.uid(),
        "creationTimestamp": timestamp.seconds(api.clock.now()),
    }  # fmt: skip
    return (Put(key, encoding.stamped({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": metadata})),)
