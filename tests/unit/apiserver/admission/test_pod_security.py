"""Namespaces that ask for a level."""

from __future__ import annotations

import pytest

from fairlead.api.apps import DEPLOYMENTS
from fairlead.api.core import NAMESPACES, PODS
from fairlead.api.meta import Key
from fairlead.apiserver import identity, rest
from fairlead.apiserver.state import Call
from fairlead.base.errors import StatusError

P = "pod-security.kubernetes.io/"
HOST = {"hostNetwork": True}
PRIVATE = {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}}


def pod(name="p", image="i", *, hardened=False, **spec):
    limits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "c", "image": image, **({"securityContext": limits} if hardened else {})}
    whole = {"containers": [container], **(PRIVATE if hardened else {}), **spec}
    return {"metadata": {"name": name, "labels": {"a": "b"}}, "spec": whole}


@pytest.fixture
def say(server):
    """Create or update something in namespace `n`; answers warnings and annotations."""

    async def say(resource, obj, *, update=False, namespace="n"):
        served = server.api.catalog.find(*resource.gvr)
        call = Call(served, identity.LOCAL, namespace if resource.namespaced else "", warnings=[])
        if update:
            call.name = obj["metadata"]["name"]
            await rest.update(server.api, call, obj)
        else:
            await rest.create(server.api, call, obj)
        return call.warnings, {k.removeprefix(P): v for k, v in call.annotations.items()}

    return say


@pytest.fixture
def ask(say):
    async def ask(*, update=False, **labels):
        marks = {P + k.replace("_", "-"): v for k, v in labels.items()}
        return await say(NAMESPACES, {"metadata": {"name": "n", "labels": marks}}, update=update)

    return ask


async def test_enforced(ask, say):
    await ask(enforce="baseline")
    with pytest.raises(StatusError) as caught:
        await say(PODS, pod(**HOST))
    assert (caught.value.code, caught.value.message) == (
        403,
        'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
    )
    assert await say(PODS, pod()) == ([], {"enforce-policy": "baseline:latest"})


async def test_warned_and_audited(ask, say):
    await ask(warn="baseline", audit="restricted", audit_version="v1.20")
    warnings, told = await say(PODS, pod(**HOST))
    assert warnings == ['would violate PodSecurity "baseline:latest": host namespaces (hostNetwork=true)']
    assert told["enforce-policy"] == "privileged:latest"
    assert told["audit-violations"].startswith('would violate PodSecurity "restricted:v1.20": host namespaces')


async def test_templates_are_warned_of_and_never_refused(ask, say):
    await ask(enforce="restricted")
    template = {"selector": {"matchLabels": {"a": "b"}}, "template": pod(**HOST)}
    del template["template"]["metadata"]["name"]
    warnings, told = await say(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": template})
    assert warnings[0].startswith('would violate PodSecurity "restricted:latest": host namespaces (hostNetwork=true), ')
    assert "enforce-policy" not in told


async def test_an_update_is_judged_when_it_brings_an_image(ask, say, server):
    await ask()
    await say(PODS, pod())
    await ask(update=True, enforce="restricted")
    live = await server.client().get(PODS.plain, Key("n", "p"))
    live["metadata"]["labels"]["more"] = "x"
    await say(PODS, live, update=True)
    live = await server.client().get(PODS.plain, Key("n", "p"))
    live["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(StatusError, match="violates PodSecurity"):
        await say(PODS, live, update=True)


async def test_a_stricter_namespace_tells_of_its_pods(ask, say):
    await ask()
    for name in ("b", "a", "c"):
        await say(PODS, pod(name))
    await say(PODS, pod("h", **HOST))
    await say(PODS, pod("good", hardened=True))
    common = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    assert (await ask(update=True, enforce="restricted"))[0] == [
        'existing pods in namespace "n" violate the new PodSecurity enforce level "restricted:latest"',
        f"a (and 2 other pods): {common}",
        f"h: host namespaces, {common}",
    ]
    assert (await ask(update=True, enforce="baseline"))[0] == []  # it is less strict now
    assert (await ask(update=True, enforce="baseline", enforce_version="v1.30"))[0] == [
        'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:v1.30"',
        "h: host namespaces",
    ]


async def test_labels_must_make_sense(ask):
    with pytest.raises(StatusError) as caught:
        await ask(enforce="strict")
    assert (caught.value.code, caught.value.message) == (
        422,
        f'Namespace "n" is invalid: metadata.labels[{P}enforce]: Invalid value: "strict": '
        "must be one of privileged, baseline, restricted",
    )
