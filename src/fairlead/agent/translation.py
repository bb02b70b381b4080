"""translation: Pods' way outwards. What they send beyond the host leaves with the host's address (masquerading).

One nf_tables table per bridge; `iptables` is the second choice, for kernels without nf_tables. Forwarding is switched
on in the host, which is said when it happens. A firewall of the host that drops forwarded packets still does.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess

from fairlead.agent import nftables
from fairlead.base import telemetry

log = telemetry.logger("agent.network")

_SOURCE_NAT = 100
_FORWARD = "/proc/sys/net/ipv4/ip_forward"


def enable(bridge: str, network: ipaddress.IPv4Network) -> str:
    """Translate what comes from `network` and leaves by another way than `bridge`. Answers how; empty: not at all."""
    try:
        _forward()
    except OSError as e:
        log.warning("no way outwards for pods: forwarding cannot be switched on: %s", e)
        return ""
    remove_table(bridge)
    try:
        nftables.send(*_rules(bridge, network))
    except OSError as e:
        return _by_iptables(bridge, network, e)
    return "nf_tables"


def services_table(bridge: str) -> str:
    """The table of the bridge's Services (`balancers.kernel`); it goes with the bridge."""
    return f"{bridge}-services"


def disable(bridge: str, network: ipaddress.IPv4Network) -> None:
    """Undo `enable` (forwarding stays on: others may have come to need it)."""
    if not remove_table(bridge) and shutil.which("iptables") is not None:
        subprocess.run(["iptables", "-t", "nat", "-D", *_rule(bridge, network)], capture_output=True, check=False)


def remove_table(bridge: str) -> bool:
    """Remove the bridge's table; False when there is none."""
    try:
        nftables.send(nftables.without_table(bridge))
    except OSError:
        return False
    return True


def _forward() -> None:
    with open(_FORWARD) as f:
        if f.read().strip() == "1":
            return
    with open(_FORWARD, "w") as f:
        f.write("1")
    log.info("switched on net.ipv4.ip_forward, so that pods reach the outside")


def _rule(bridge: str, network: ipaddress.IPv4Network) -> list[str]:
    return ["POSTROUTING", "-s", str(network), "!", "-o", bridge, "-j", "MASQUERADE"]


def _by_iptables(bridge: str, network: ipaddress.IPv4Network, error: OSError) -> str:
    if shutil.which("iptables") is None:
        log.warning("no way outwards for pods: nf_tables: %s, and there is no iptables", error)
        return ""
    rule = _rule(bridge, network)
    for command in (["-C", *rule], ["-A", *rule]):
        done = subprocess.run(["iptables", "-t", "nat", *command], capture_output=True, check=False)
        if done.returncode == 0:
            return "iptables"
    log.warning("no way outwards for pods: iptables: %s", done.stderr.decode(errors="replace").strip())
    return ""


def _rules(bridge: str, network: ipaddress.IPv4Network) -> list[nftables.Message]:
    """table ip <bridge> { chain outwards { type nat hook postrouting priority srcnat;
    ip saddr <network> oifname != <bridge> masquerade } }"""
    leaves = nftables.within(nftables.SOURCE, network) + nftables.leaves_by(bridge, equal=False)
    return [
        nftables.table(bridge),
        nftables.hook(bridge, "outwards", "nat", nftables.POSTROUTING, _SOURCE_NAT),
        nftables.rule(bridge, "outwards", leaves, nftables.masquerade()),
    ]
