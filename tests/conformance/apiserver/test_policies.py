"""ValidatingAdmissionPolicies, through the API."""

from __future__ import annotations

import json

import pytest

from fairlead.api import admissionregistration as kinds
from fairlead.api.core import CONFIG_MAPS, NAMESPACES, SECRETS
from fairlead.api.meta import Key
from fairlead.apiserver import assembly, identity, rest
from fairlead.apiserver.identity import User
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError
from fairlead.client.protocol import DeleteOptions, PatchType
from fairlead.store.memory import MemoryStore

MAPS = {"operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
        "resources": ["configmaps"]}  # fmt: skip


@pytest.fixture
async def server():
    made = assembly.assemble(MemoryStore(), assembly.Settings())
    made.definitions.start()
    for name, labels in (("n", {"guarded": "yes"}), ("free", {})):
        await made.client().create(NAMESPACES, {"metadata": {"name": name, "labels": labels}})
    yield made
    await made.close()


@pytest.fixture
def define(server):
    """Define a policy with a binding."""

    async def define(*validations, binding=None, match=None, name="p", **spec):
        client = server.client()
        checks = [{"expression": v} if isinstance(v, str) else v for v in validations]
        constraints = {"resourceRules": [MAPS], **(match or {})}
        whole = {"matchConstraints": constraints, "validations": checks, **spec}
        await client.create(kinds.POLICIES, {"metadata": {"name": name}, "spec": whole})
        bound = {"policyName": name, "validationActions": ["Deny"], **(binding or {})}
        await client.create(kinds.BINDINGS, {"metadata": {"name": f"{name}-b"}, "spec": bound})

    return define


@pytest.fixture
def put(server):
    """Create a ConfigMap; answers the call with warnings and annotations."""

    async def put(name="m", namespace="n", user=identity.LOCAL, **fields):
        served = server.api.catalog.find(*CONFIG_MAPS.gvr)
        call = Call(served, user, namespace, warnings=[])
        labels = {"metadata": {"name": name, "labels": fields.pop("labels", {})}}
        await rest.create(server.api, call, {**labels, **fields})
        return call

    return put


async def refused(work, code=422, reason="Invalid"):
    with pytest.raises(StatusError) as caught:
        await work
    assert (caught.value.code, caught.value.reason) == (code, reason)
    return caught.value.message


async def test_denied_in_upstreams_words(define, put):
    await define("object.metadata.name != 'bad'")
    await put("good")
    assert await refused(put("bad")) == (
        "configmaps \"bad\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p-b' denied request: "
        "failed expression: object.metadata.name != 'bad'"
    )


async def test_messages_and_reasons(define, put):
    await define(
        {"expression": "object.data.size() < 3", "message": "too many", "reason": "RequestEntityTooLarge"},
        {
            "expression": "variables.first != 'x'", "reason": "Forbidden",
            "messageExpression": "'got ' + variables.first + ' from ' + request.userInfo.username",
        },
        variables=[{"name": "first", "expression": "object.data['first']"}],
    )  # fmt: skip
    many = {"first": "a", "b": "b", "c": "c"}
    assert (await refused(put(data=many), 413, "RequestEntityTooLarge")).endswith("denied request: too many")
    message = await refused(put(data={"first": "x"}), 403, "Forbidden")
    assert message.endswith("denied request: got x from system:fairlead")
    assert "resulted in error" in await refused(put(data={"other": "x"}))
    await put(data={"first": "y"})


async def test_failure_policy(define, put):
    await define("object.data.missing == 'x'", failurePolicy="Ignore")
    await put(data={"a": "b"})


async def test_actions(define, put):
    actions = {"validationActions": ["Warn", "Audit"]}
    await define("false", binding=actions, auditAnnotations=[{"key": "who", "valueExpression": "object.metadata.name"}])
    call = await put()
    assert call.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-b': failed expression: false"
    ]
    assert call.annotations["p/who"] == "m"
    (told,) = json.loads(call.annotations["validation.policy.admission.k8s.io/validation_failure"])
    assert told == {"message": "failed expression: false", "policy": "p", "binding": "p-b", "expressionIndex": 0,
                    "validationActions": ["Warn", "Audit"]}  # fmt: skip


async def test_selectors_and_conditions(define, put):
    await define(
        "false",
        match={"namespaceSelector": {"matchLabels": {"guarded": "yes"}}},
        binding={"matchResources": {"objectSelector": {"matchLabels": {"kind": "secret"}}}},
        matchConditions=[{"name": "not-mine", "expression": "request.userInfo.username != 'me'"}],
    )
    await put("a", namespace="free", labels={"kind": "secret"})
    await put("b")
    await put("c", labels={"kind": "secret"}, user=User("me"))
    await refused(put("d", labels={"kind": "secret"}))


async def test_updates_and_deletes_are_seen(define, put, server):
    await define("request.operation == 'CREATE' || oldObject.data.k != 'keep'")
    await put("a", data={"k": "keep"})
    client = server.client()
    change = {"data": {"k": "x"}}
    await refused(client.patch(CONFIG_MAPS, Key("n", "a"), change, PatchType.MERGE))
    await refused(client.delete(CONFIG_MAPS, Key("n", "a"), DeleteOptions()))
    await put("b", data={"k": "y"})
    await client.delete(CONFIG_MAPS, Key("n", "b"))


async def test_parameters(define, put, server):
    client = server.client()
    await define(
        "object.data.size() <= int(params.data.most)",
        paramKind={"apiVersion": "v1", "kind": "Secret"},
        binding={"paramRef": {"name": "limits", "namespace": "free", "parameterNotFoundAction": "Deny"}},
    )
    message = await refused(put(data={}))
    assert message.endswith(
        "denied request: failed to configure binding: no params found for policy binding with `Deny` "
        "parameterNotFoundAction"
    )
    await client.create(SECRETS, {"metadata": {"name": "limits", "namespace": "free"}, "data": {"most": "MQ=="}})
    assert "resulted in error" in await refused(put(data={}))  # it is Base64: no number


async def test_what_cannot_be_used_refuses_whatever_the_binding_says(define, put):
    reference = {"name": "gone", "namespace": "free", "parameterNotFoundAction": "Deny"}
    binding = {"paramRef": reference, "validationActions": ["Warn"]}
    await define("true", paramKind={"apiVersion": "v1", "kind": "ConfigMap"}, binding=binding)
    assert "no params found" in await refused(put())


async def test_several_parameters_by_selector(define, put, server):
    client = server.client()
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    selector = {"matchLabels": {"limit": "yes"}}
    await define(
        "object.metadata.name == 'limit' || object.data.k != params.data.no",
        paramKind=kind,
        binding={"paramRef": {"selector": selector, "namespace": "free", "parameterNotFoundAction": "Allow"}},
    )
    await put("a", data={"k": "x"})
    for value in ("x", "y"):
        meta = {"name": f"no-{value}", "namespace": "free", "labels": {"limit": "yes"}}
        await client.create(CONFIG_MAPS, {"metadata": meta, "data": {"no": value, "k": ""}})
    for value in ("x", "y"):
        await refused(put("b", data={"k": value}))
    await put("c", data={"k": "z"})


async def test_the_authorizer_is_asked(define, put):
    await define("authorizer.group('').resource('secrets').namespace('n').check('get').allowed()")
    await put("a")
    await refused(put("b", user=User("eve", groups=("system:authenticated",))))


async def test_what_is_no_longer_defined_is_not_asked(define, put, server):
    await define("false")
    await refused(put())
    await server.client().delete(kinds.BINDINGS, Key("", "p-b"))
    await put()
    served = server.api.dynamic.configurations
    assert not served.policies


async def test_nobody_locks_themselves_out(define, server):
    every = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    await define("false", match={"resourceRules": [every]})
    await server.client().delete(kinds.BINDINGS, Key("", "p-b"))
