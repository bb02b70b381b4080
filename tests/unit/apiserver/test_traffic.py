"""How many requests of one user are under way."""

from __future__ import annotations

import pytest

from fairlead.apiserver import requestinfo
from fairlead.apiserver.identity import LOCAL, User
from fairlead.apiserver.traffic import Traffic
from fairlead.base.errors import StatusError

EVE, BOB = User("eve"), User("bob")


def test_one_users_flood_is_their_own():
    traffic = Traffic(2)
    traffic.enter(EVE)
    traffic.enter(EVE)
    with pytest.raises(StatusError) as caught:
        traffic.enter(EVE)
    assert (caught.value.code, caught.value.reason) == (429, "TooManyRequests")
    assert caught.value.details["retryAfterSeconds"] == 1
    traffic.enter(BOB)
    traffic.leave(EVE)
    traffic.enter(EVE)


def test_masters_and_health_do_not_count():
    traffic, pods = Traffic(), requestinfo.parse("GET", "/api/v1/pods", {})
    assert traffic.concerns(EVE, pods)
    assert not traffic.concerns(LOCAL, pods)
    assert not traffic.concerns(EVE, requestinfo.parse("GET", "/readyz", {}))
