"""Delete and deletecollection: `deletion.decide` says what happens, this does it."""

from __future__ import annotations

from fairlead.apiserver import deletion, encoding, reads, state, writes
from fairlead.apiserver.admission import Operation, Review
from fairlead.apiserver.selection import Selection
from fairlead.apiserver.state import Answer, Api, Call
from fairlead.base import errors
from fairlead.store.mvcc import Delete, Entry, Mismatch, Put

_ANSWER_OBJECT = frozenset(("pods", "services", "serviceaccounts", "persistentvolumeclaims"))


async def delete(api: Api, call: Call, asked: deletion.Options) -> Answer:
    """Ask for an object's deletion. The answer has its state after that; `removed` says whether it is gone."""
    review = Review(Operation.DELETE, call, None, None)
    api.admission.admit(api, review)
    api.admission.validate(api, review)
    await _ask_users(api, review)
    resource = call.served.resource
    for _ in range(writes.ATTEMPTS):
        entry, live = api.live(call)
        deletion.check(live, asked, resource.kind, resource.group)
        verdict = deletion.decide(live, asked, resource.qualified, api.clock.now())
        try:
            return await _carry_out(api, call, entry, verdict)
        except Mismatch:
            continue
    raise writes.conflict(call)


async def _ask_users(api: Api, review: Review) -> None:
    """Let users' policies and webhooks refuse the deletion."""
    dynamic = api.dynamic
    if dynamic is None or not (dynamic.mutates(review) or dynamic.validates(review)):
        return
    review.old = api.live(review.call)[1]
    await dynamic.mutate(api, review, lambda: None)
    await dynamic.validate(api, review)


async def delete_collection(api: Api, call: Call, asked: deletion.Options, query: reads.Query) -> list[bytes]:
    """Delete every object that is selected; answers their states. One that goes meanwhile is no error."""
    selection = Selection(api, call.served, query.labels, query.fields)
    answers = []
    for entry in api.store.list(reads.prefix_of(call)).entries:
        if not selection.matches(entry.key, entry.value):
            continue
        namespace, _, name = entry.key[len(call.served.prefix) :].rpartition("/")
        one = Call(call.served, call.user, namespace, name, dry_run=call.dry_run)
        try:
            answers.append((await delete(api, one, asked)).value)
        except errors.StatusError as error:
            if error.code != 404:
                raise
    return answers


def status(call: Call, answer: Answer) -> bytes:
    """The body that answers a delete: the object where it stays (and for some kinds always), else a Status."""
    resource = call.served.resource
    if not answer.removed or resource.qualified in _ANSWER_OBJECT:
        return answer.value
    details = {"name": call.name, "group": resource.group, "kind": resource.plural}
    details["uid"] = encoding.decode(answer.value)["metadata"]["uid"]
    success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return encoding.encode({**success, "details": {k: v for k, v in details.items() if v}})


async def _carry_out(api: Api, call: Call, entry: Entry, verdict: deletion.Verdict) -> Answer:
    match verdict:
        case deletion.Leave():
            return Answer(state.seen(call.served, entry.value))
        case deletion.Remove(final):
            return await writes.write(api, call, final, Delete, entry)
        case deletion.Mark(marked):
            return await writes.write(api, call, marked, Put, entry)
