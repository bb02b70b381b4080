"""Tokens of Pods: bound, kept, renewed in time."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairlead.agent.tokens import Tokens
from fairlead.api.core import NAMESPACES, PODS, TokenProjection
from fairlead.api.meta import Key
from fairlead.apiserver import assembly
from fairlead.base.errors import StatusError
from fairlead.client.protocol import DeleteOptions
from fairlead.store.memory import MemoryStore
from fairlead.testing.clock import FakeClock

HOUR = TokenProjection(path="token", expirationSeconds=3600)


@pytest.fixture
async def server():
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = assembly.assemble(MemoryStore(), assembly.Settings(signing_key=key, clock=FakeClock()))
    made.definitions.start()
    await made.client().create(NAMESPACES, {"metadata": {"name": "default"}})
    yield made
    await made.close()


async def test_kept_until_four_fifths_are_over_then_renewed(server):
    clock, client = server.api.clock, server.client()
    pod = {"metadata": {"namespace": "default", "name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await client.create(PODS, pod)
    tokens = Tokens(client, clock)
    (first,) = (await tokens.of(made, [HOUR])).values()
    user = server.api.tokens.verify(first, now=clock.now())
    assert user.name == "system:serviceaccount:default:default"
    assert user.extra["authentication.kubernetes.io/pod-uid"] == (made.metadata.uid,)
    clock.advance(2879)
    assert await tokens.of(made, [HOUR]) == {("", 3600): first}
    clock.advance(1)
    (second,) = (await tokens.of(made, [HOUR])).values()
    assert second != first
    clock.advance(721)
    with pytest.raises(StatusError):
        server.api.tokens.verify(first, now=clock.now())
    assert server.api.tokens.verify(second, now=clock.now()) == server.api.tokens.verify(second, now=clock.now())
    tokens.forget(made.metadata.uid)
    await client.delete(PODS, Key("default", "p"), DeleteOptions(grace_seconds=0))
    with pytest.raises(StatusError):
        server.api.tokens.verify(second, now=clock.now())
    with pytest.raises(StatusError):
        await tokens.of(made, [HOUR])
