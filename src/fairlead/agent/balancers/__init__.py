"""balancers: connections to a Service's address reach one of its endpoints. Kube-proxy's work, behind one interface.

- `nf_tables`: the kernel rewrites the first packet of a connection; nothing of it passes through a process.
- `proxy`: this process takes the connection and makes another one. TCP only.
- `none`: Services have no address that works here, so their names stand for their Pods.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from fairlead.agent.balancers.kernel import Kernel
from fairlead.agent.balancers.proxy import Proxy
from fairlead.agent.network import Namespaces, Network
from fairlead.agent.services import Frontend


class Balancer(Protocol):
    """One way to balance."""

    name: str
    detail: str

    def put(self, frontends: Sequence[Frontend]) -> None:
        """From now on this is the table. Connections that exist are left alone."""

    def close(self, *, keep: bool) -> None:
        """Stop. `keep`: Pods go on, and with them what works without this process."""


class Nothing:
    """See the module's text."""

    name = "none"
    detail = "services have no address of their own here: their names stand for the addresses of their pods"

    def put(self, frontends: Sequence[Frontend]) -> None:
        return None

    def close(self, *, keep: bool) -> None:
        return None


def choose(network: Network) -> tuple[Balancer, str]:
    """The best that works with the network, and why it is not a better one."""
    why = ""
    if isinstance(network, Namespaces):
        try:
            return Kernel(network.bridge, network.pods, network.services), ""
        except OSError as error:
            why = f"nf_tables: {error}"
    try:
        return Proxy(network.services, alone=not isinstance(network, Namespaces)), why
    except OSError as error:
        return Nothing(), "; ".join(filter(None, (why, str(error) or os.strerror(error.errno or 0))))
