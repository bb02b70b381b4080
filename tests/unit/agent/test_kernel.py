"""The balancer that is the kernel: the table as messages. (What the kernel does with it: tests/e2e/test_services.)"""

from __future__ import annotations

import ipaddress

import pytest

from fairlead.agent import nftables
from fairlead.agent.balancers import kernel
from fairlead.agent.balancers.kernel import Kernel
from fairlead.agent.services import Backend, Frontend
from fairlead.api.meta import Key

PODS, SERVICES = ipaddress.IPv4Network("10.1.0.0/20"), ipaddress.IPv4Network("10.2.0.0/20")
TABLE = "fl0-services"
NEW_CHAIN = 3


@pytest.fixture
def made() -> Kernel:
    """Without a kernel: only its messages are asked for."""
    balancer = Kernel.__new__(Kernel)
    balancer._table, balancer._pods, balancer._services, balancer._bridged = TABLE, PODS, SERVICES, True
    return balancer


def frontend(*backends: Backend, ip: str = "10.2.0.5", protocol: str = "TCP", sticky: bool = False) -> Frontend:
    return Frontend(Key("ns", "s"), ip, 80, protocol, backends, sticky)


ONE, TWO = Backend("10.1.0.2", 8080), Backend("10.1.0.3", 8080)


def test_the_table_is_replaced_as_a_whole(made: Kernel) -> None:
    messages = made.messages([])
    again = [nftables.table(TABLE), nftables.without_table(TABLE), nftables.table(TABLE)]
    assert messages[:3] == again


def test_every_backend_takes_its_share_of_what_is_left(made: Kernel) -> None:
    messages = made.messages([frontend(ONE, TWO)])
    expected = [
        nftables.rule(TABLE, "service-0", nftables.chance(2), nftables.redirect(*ONE)),
        nftables.rule(TABLE, "service-0", b"", nftables.redirect(*TWO)),
    ]
    assert [m for m in messages if m in expected] == expected
    entry = nftables.address(nftables.DESTINATION, "10.2.0.5") + nftables.protocol(6) + nftables.port(80)
    assert nftables.rule(TABLE, "services", entry, nftables.goto("service-0")) in messages


def test_a_sticky_frontend_goes_by_the_sender(made: Kernel) -> None:
    messages = made.messages([frontend(ONE, TWO, sticky=True)])
    assert nftables.rule(TABLE, "service-0", nftables.falls_to(0, 2), nftables.redirect(*ONE)) in messages


def test_without_backends_nothing_is_matched_and_what_is_left_is_refused(made: Kernel) -> None:
    messages = made.messages([frontend(), frontend(ONE, protocol="ICMP")])
    assert messages == made.messages([])
    left = nftables.within(nftables.DESTINATION, SERVICES)
    for chain in ("passing", "leaving"):
        assert nftables.rule(TABLE, chain, left, nftables.protocol(6), nftables.reset()) in messages
        assert nftables.rule(TABLE, chain, left, nftables.refuse()) in messages


def test_a_port_of_the_node_is_matched_at_any_address(made: Kernel) -> None:
    messages = made.messages([frontend(ONE, ip="")])
    entry = nftables.protocol(6) + nftables.port(80)
    assert nftables.rule(TABLE, "ports", entry, nftables.goto("service-0")) in messages


def test_who_is_masqueraded(made: Kernel) -> None:
    itself = nftables.address(nftables.SOURCE, ONE.ip) + nftables.address(nftables.DESTINATION, ONE.ip)
    assert nftables.rule(TABLE, "back", itself, nftables.masquerade()) in made.messages([frontend(ONE)])
    made._bridged = False
    assert nftables.rule(TABLE, "back", nftables.masquerade()) in made.messages([frontend(ONE)])


def test_chains_have_hooks_that_the_kernel_knows(made: Kernel) -> None:
    hooked = [m for m in made.messages([]) if m.kind == NEW_CHAIN and (b"nat\0" in m.body or b"filter\0" in m.body)]
    assert len(hooked) == 5
    assert isinstance(kernel.bridged(), bool)


def test_an_external_address_is_matched_wherever_packets_come(made: Kernel) -> None:
    messages = made.messages([frontend(ONE, ip="192.0.2.9")])
    entry = nftables.address(nftables.DESTINATION, "192.0.2.9") + nftables.protocol(6) + nftables.port(80)
    for chain in ("arriving", "from-here"):
        assert nftables.rule(TABLE, chain, entry, nftables.goto("service-0")) in messages
