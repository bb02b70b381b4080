"""Create and update: the one path that every object takes into the store, in upstream's order.

    shape -> conform -> default -> managed fields -> mutating admission -> prepare -> validate -> validating admission
          -> store

An update that changes nothing but the times in managedFields is not written, so that its resourceVersion stays. An
update that takes the last finalizer from an object whose deletion was asked for removes it (`deletion.released`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fairlead.apiserver import companions, deletion, encoding, ownership, shape, state
from fairlead.apiserver.admission import Operation, Review
from fairlead.apiserver.kinds import strategy
from fairlead.apiserver.state import Answer, Api, Call, Plain
from fairlead.base import errors, timestamp
from fairlead.base.errors import Cause
from fairlead.machinery import causes
from fairlead.store.mvcc import Delete, Entry, Mismatch, Put

ATTEMPTS = 100
"""How often a write that lost a race is tried again. (A client that named a resourceVersion gets its 409 at once.)"""

Make = Callable[[Plain], Plain]


async def create(api: Api, call: Call, obj: Plain) -> Answer:
    """Create `obj`. A generated name that is taken is generated anew."""
    shape.fit(call, obj)
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    generates = not metadata.get("name") and metadata.get("generateName")
    shape.conform(call, obj)
    api.strategy(call.served).default(obj)
    identify(api, obj)
    ownership.created(api, call, obj)
    return await insert(api, call, obj, generates=bool(generates))


async def create_applied(api: Api, call: Call, obj: Plain) -> Answer:
    """Create what an apply configuration describes; `obj` has its managedFields."""
    api.strategy(call.served).default(obj)
    identify(api, obj)
    return await insert(api, call, obj)


async def insert(api: Api, call: Call, obj: Plain, *, generates: bool = False) -> Answer:
    """The second half of a create: `obj` is in shape, has defaults, identity and managedFields."""
    ways = api.strategy(call.served)
    review = Review(Operation.CREATE, call, obj, None)
    api.admission.admit(api, review)
    await _mutate(api, review)
    ways.prepare_create(obj)
    api.prepared(call.served, obj)
    causes = strategy.validate_meta(obj, call.served.resource) + ways.validate(obj)
    refuse(call, obj, causes)
    api.admission.validate(api, review)
    await validate_dynamically(api, review)
    for _ in range(ATTEMPTS):
        call.name = obj["metadata"]["name"]
        if call.dry_run:
            if api.store.get(call.key) is not None:
                raise _taken(call)
            return Answer(encoding.encode(obj), created=True)
        try:
            put = Put(call.key, encoding.stamped(state.stored(call.served, obj)), 0)
            entry = await api.commit(call, put, companions.of(api, call, obj))
            return Answer(state.seen(call.served, entry.value), created=True)
        except Mismatch:
            if not generates:
                raise _taken(call) from None
            obj["metadata"]["name"] = obj["metadata"]["generateName"] + api.chance.suffix()
    raise _taken(call)


async def update(api: Api, call: Call, obj: Plain) -> Answer:
    """Replace an object (or, with `call.subresource`, its status)."""
    sent = encoding.encode(obj)
    metadata = obj.get("metadata")
    pinned = bool(isinstance(metadata, dict) and metadata.get("resourceVersion"))
    if not pinned and call.served.crd is not None:
        why = "Invalid value: 0: must be specified for an update"
        resource, cause = call.served.resource, Cause("FieldValueInvalid", why, "metadata.resourceVersion")
        raise errors.invalid(resource.plural, resource.group, call.name, [cause])
    return await change(api, call, lambda _: encoding.decode(sent), ownership.updated)


async def change(api: Api, call: Call, make: Make, own: ownership.Own) -> Answer:
    """Replace the live object by what `make` makes of it (it may keep its argument); tried again on a lost race."""
    for _ in range(ATTEMPTS):
        entry, live = api.live(call)
        new = make(state.decoded(call.served, entry.value))
        try:
            return await _replace(api, call, entry, (new, live), own)
        except Mismatch:
            continue
    raise conflict(call)


def conflict(call: Call) -> errors.StatusError:
    """409: the object is not at the revision that the client saw."""
    resource = call.served.resource
    return errors.conflict(resource.plural, resource.group, call.name, errors.MODIFIED)


def refuse(call: Call, obj: Plain, causes: list[Cause]) -> None:
    """422 when rules are broken."""
    if causes:
        resource = call.served.resource
        name = obj["metadata"].get("name") or obj["metadata"].get("generateName") or ""
        raise errors.invalid(resource.kind, resource.group, name, causes)


async def _replace(api: Api, call: Call, entry: Entry, versions: tuple[Plain, Plain], own: ownership.Own) -> Answer:
    new, live = versions
    ways = api.strategy(call.served, call.subresource)
    shape.fit(call, new)
    _match(call, new, live)
    shape.conform(call, new)
    ways.default(new)
    _keep(new, live)
    own(api, call, new, live)
    review = Review(Operation.UPDATE, call, new, live)
    api.admission.admit(api, review)
    await _mutate(api, review)
    if call.subresource == "status":
        owners = new["metadata"].get("managedFields")
        ways.prepare_status(new, live)
        new["metadata"] = {**new["metadata"], **({"managedFields": owners} if owners else {})}
    else:
        ways.prepare_update(new, live)
    api.prepared(call.served, new)
    if ownership.same(new, live):
        return Answer(state.seen(call.served, entry.value))
    causes = strategy.validate_meta_update(new, live, call.served.resource)
    causes += ways.validate_status(new, live) if call.subresource == "status" else ways.validate_update(new, live)
    refuse(call, new, causes)
    api.admission.validate(api, review)
    await validate_dynamically(api, review)
    gone = deletion.released(new, call.served.resource.qualified)
    return await write(api, call, new, Delete if gone else Put, entry)


async def _mutate(api: Api, review: Review) -> None:
    """Let users' webhooks change the new state. What they make of it must fit the schema like what clients send."""
    dynamic = api.dynamic
    if dynamic is None or not dynamic.mutates(review):
        return
    quiet = msgspec.structs.replace(review.call, validation="Ignore", warnings=[])

    def refit() -> None:
        shape.conform(quiet, review.obj)
        api.strategy(quiet.served).default(review.obj)

    await dynamic.mutate(api, review, refit)


async def validate_dynamically(api: Api, review: Review) -> None:
    """Let users' policies and webhooks refuse the write."""
    if api.dynamic is not None and api.dynamic.validates(review):
        await api.dynamic.validate(api, review)


async def write(api: Api, call: Call, new: Plain, how: type[Put] | type[Delete], entry: Entry) -> Answer:
    """Write the new or the final state of a live object, which must still be as `entry` has it. Raises Mismatch."""
    removed = how is Delete
    if call.dry_run:
        return Answer(encoding.encode(new), removed=removed)
    written = await api.commit(call, how(entry.key, encoding.stamped(state.stored(call.served, new)), entry.revision))
    return Answer(state.seen(call.served, written.value), removed=removed)


def identify(api: Api, obj: Plain) -> None:
    """What the server alone gives a new object."""
    metadata = obj["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + api.chance.suffix()
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        metadata.pop(field, None)
    metadata["uid"] = api.chance.uid()
    metadata["creationTimestamp"] = timestamp.seconds(api.clock.now())


def _match(call: Call, new: Plain, live: Plain) -> None:
    """409 unless the new state speaks of the live object as it is now."""
    sent, have = new["metadata"], live["metadata"]
    if sent.get("resourceVersion") and sent["resourceVersion"] != have["resourceVersion"]:
        raise conflict(call)
    if sent.get("uid") and sent["uid"] != have["uid"]:
        if call.patched:
            refuse(call, live, causes.immutable("metadata.uid", sent["uid"], have["uid"]))
        why = f"Precondition failed: UID in precondition: {sent['uid']}, UID in object meta: {have['uid']}"
        raise errors.conflict(call.served.resource.plural, call.served.resource.group, call.name, why)


_SERVERS = ("resourceVersion", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


def _keep(new: Plain, live: Plain) -> None:
    """Fields of metadata that only the server writes stay as they are."""
    sent, have = new["metadata"], live["metadata"]
    for field in _SERVERS:
        if field in have:
            sent[field] = have[field]
        else:
            sent.pop(field, None)
    for field in ("uid", "creationTimestamp"):
        if not sent.get(field):
            sent[field] = have[field]


def _taken(call: Call) -> errors.StatusError:
    resource = call.served.resource
    return errors.already_exists(resource.plural, resource.group, call.name)
