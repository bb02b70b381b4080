"""The chain: every plugin, in upstream's order."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from fairlead.apiserver.admission.limit_ranger import LimitRanger
from fairlead.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from fairlead.apiserver.admission.noeffect import NoEffect
from fairlead.apiserver.admission.pod_security import PodSecurity
from fairlead.apiserver.admission.priority import Priority
from fairlead.apiserver.admission.resource_quota import ResourceQuota
from fairlead.apiserver.admission.review import Operation, Plugin, Review
from fairlead.apiserver.admission.service_account import ServiceAccount
from fairlead.apiserver.admission.storage import Storage
from fairlead.apiserver.admission.trainjob import TrainJob
from fairlead.apiserver.state import Api

PLUGINS: tuple[Plugin, ...] = (
    NamespaceLifecycle(),
    LimitRanger(),
    ServiceAccount(),
    PodSecurity(),
    Priority(),
    DefaultTolerationSeconds(),
    Storage(),
    TrainJob(),
    NoEffect(),
    ResourceQuota(),
)


class Chain:
    """Runs the plugins that a request concerns: first all that change, later all that only refuse."""

    def __init__(self, plugins: Sequence[Plugin] = PLUGINS) -> None:
        self._plugins = tuple(plugins)
        self._concerned: dict[tuple[tuple[str, str, str], Operation, str], tuple[Plugin, ...]] = {}

    def admit(self, api: Api, review: Review) -> None:
        for plugin in self._for(review):
            plugin.admit(api, review)

    def validate(self, api: Api, review: Review) -> None:
        for plugin in self._for(review):
            plugin.validate(api, review)

    def _for(self, review: Review) -> tuple[Plugin, ...]:
        resource, subresource = review.call.served.resource, review.call.subresource
        key = (resource.gvr, review.operation, subresource)
        found = self._concerned.get(key)
        if found is None:
            found = tuple(p for p in self._plugins if p.handles(resource, review.operation, subresource))
            self._concerned[key] = found
        return found
