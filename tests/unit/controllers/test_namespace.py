from fairlead.api import core
from fairlead.api.meta import Key
from fairlead.controllers import namespace, rootca, serviceaccount
from fairlead.reconcile.reconciler import Across, Delete, Finalize, Found, SetStatus, View, WakeAt
from fairlead.testing import builders
from fairlead.testing.clock import START
from fairlead.testing.cluster import Cluster

GOING = builders.namespace("team").deleting(START).revision(7)


def view(*found: builders.Builder[core.Pod], now: float = START) -> View[core.Namespace]:
    contained = tuple(Found(b.resource, b.view()) for b in found)
    return View(GOING.key, GOING.view(), {}, now, across=Across(core.NAMESPACES, contained=contained))


def test_everything_in_it_is_deleted_first() -> None:
    pod, going = builders.pod("a", "team"), builders.pod("b", "team").deleting()
    assert namespace.reconcile(view(pod, going)) == [Delete(core.PODS, Key("team", "a"), "uid-pod-a")]


def test_an_empty_one_is_let_go() -> None:
    assert namespace.reconcile(view()) == [Finalize(core.NAMESPACES, Key("", "team"), (), "7")]


def test_what_holds_it_up_is_named_after_a_while() -> None:
    going = builders.pod("b", "team").deleting()
    assert namespace.reconcile(view(going)) == [WakeAt(START + 10)]
    (change,) = namespace.reconcile(view(going, now=START + 10))
    assert isinstance(change, SetStatus)
    assert change.status["conditions"][0]["message"] == "Some resources are remaining: pods has 1 resource instances"


def test_a_living_namespace_is_left_alone() -> None:
    living = builders.namespace("team").view()
    assert namespace.reconcile(View(Key("", "team"), living, {}, START)) == []


async def test_a_deleted_namespace_is_emptied_and_goes() -> None:
    async with Cluster([namespace.CONTROLLER, serviceaccount.CONTROLLER]) as cluster:
        await cluster.apply(builders.namespace("team"))
        await cluster.run_until_quiet()
        assert await cluster.find(core.SERVICE_ACCOUNTS, Key("team", "default")) is not None
        await cluster.apply(builders.pod("a", "team"))
        await cluster.apply(builders.config_map("c", "team"))
        await cluster.run_until_quiet()
        await cluster.delete(core.NAMESPACES, "team")
        await cluster.run_until_quiet()
        assert await cluster.find(core.NAMESPACES, "team") is None
        left = [key for key in _stored(cluster) if "/team/" in key]
        assert left == []


async def test_a_finalizer_of_others_holds_it_up() -> None:
    async with Cluster([namespace.CONTROLLER]) as cluster:
        await cluster.apply(builders.namespace("team"))
        await cluster.apply(builders.config_map("c", "team").finalizers("example.com/wait"))
        await cluster.delete(core.NAMESPACES, "team")
        await cluster.run_until_quiet()
        found = await cluster.get(core.NAMESPACES, "team")
        assert found.status.phase == "Terminating"
        assert found.status.conditions[0].type == "NamespaceContentRemaining"


async def test_the_root_certificate_is_copied_and_kept_right() -> None:
    async with Cluster([rootca.CONTROLLER]) as cluster:
        await cluster.apply(builders.config_map("kube-root-ca.crt", "kube-system", {"ca.crt": "PEM"}))
        await cluster.run_until_quiet()
        key = Key("default", "kube-root-ca.crt")
        assert (await cluster.get(core.CONFIG_MAPS, key)).data == {"ca.crt": "PEM"}
        await cluster.apply(builders.config_map("kube-root-ca.crt", "default", {"ca.crt": "forged"}))
        await cluster.run_until_quiet()
        assert (await cluster.get(core.CONFIG_MAPS, key)).data == {"ca.crt": "PEM"}


def _stored(cluster: Cluster) -> list[str]:
    return [entry.key for entry in cluster.store.list("/registry/").entries]
