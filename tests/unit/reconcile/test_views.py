from typing import Any

from fairlead.api import core
from fairlead.api.batch import JOBS
from fairlead.api.meta import Key, Object, Resource
from fairlead.client.cache import Cache
from fairlead.reconcile import reconciler
from fairlead.reconcile.reconciler import (
    Contained,
    Controller,
    Dependents,
    Found,
    Keyed,
    Owned,
    Owners,
    Referred,
    Selected,
)
from fairlead.reconcile.views import Caches, Item, Links
from fairlead.testing import builders
from fairlead.testing.builders import Builder

JOB = builders.job("j")
KINDS = (JOBS, core.PODS, core.SERVICES, core.CONFIG_MAPS, core.NAMESPACES, core.NODES)


def caches(*objects: Builder[Any]) -> Caches:
    made = Caches()
    for kind in KINDS:
        cache: Cache[Any] = Cache(kind)
        made.declare(cache)
        made.show(cache)
    for b in objects:
        put(made, b)
    return made


def put(made: Caches, b: Builder[Any]) -> None:
    cache = made.at(b.resource)
    assert cache is not None
    cache.put(b.view())


def links(made: Caches, primary: Resource[Any], *given: reconciler.Link, **more: Any) -> Links[Any]:
    return Links(Controller("c", primary, lambda view: [], given, **more), made)


def keys(objects: Any) -> list[str]:
    return [o.metadata.name for o in objects]


def concerned(made: Links[Any], old: Builder[Any] | None, new: Builder[Any] | None) -> list[str]:
    resource = (new or old).resource  # type: ignore[union-attr]
    found = made.concerned(resource, old.view() if old else None, new.view() if new else None)
    return sorted({f"{i.resource.plural}/{i.key.name}" for i in found})


def test_owned_objects_by_uid_and_orphans_of_an_earlier_owner() -> None:
    ours = builders.pod("ours").owned_by(JOB)
    earlier = builders.pod("earlier").owned_by(JOB.with_uid("before"))
    elsewhere = builders.pod("elsewhere", "other").owned_by(JOB)
    made = links(caches(JOB, ours, earlier, elsewhere), JOBS, Owned(core.PODS))
    view = made.view(Item(JOBS, JOB.key), 7.0)
    assert (view.object, view.now) == (JOB.view(), 7.0)
    assert keys(view.all(core.PODS)) == ["ours"]
    assert keys(view.orphans(core.PODS)) == ["earlier"]
    assert concerned(made, None, ours) == ["jobs/j"]
    assert concerned(made, ours, builders.pod("ours")) == ["jobs/j"]
    assert concerned(made, None, builders.pod("free")) == []


def test_orphans_are_all_that_is_left_of_a_primary_that_is_gone() -> None:
    made = links(caches(builders.pod("p").owned_by(JOB)), JOBS, Owned(core.PODS))
    view = made.view(Item(JOBS, JOB.key), 0)
    assert view.object is None
    assert keys(view.all(core.PODS)) == []
    assert keys(view.orphans(core.PODS)) == ["p"]


def test_keyed_objects_name_their_primaries() -> None:
    on_node = Keyed(core.PODS, lambda p: [Key("", p.spec.nodeName)] if p.spec.nodeName else [])
    a, b = builders.pod("a").on("n"), builders.pod("b").on("m")
    made = links(caches(builders.node("n"), a, b), core.NODES, on_node)
    assert keys(made.view(Item(core.NODES, Key("", "n")), 0).all(core.PODS)) == ["a"]
    assert concerned(made, a, a.on("m")) == ["nodes/m", "nodes/n"]


def test_referred_objects_are_named_by_the_primary() -> None:
    refers = Referred(core.CONFIG_MAPS, lambda p: [Key("default", p.metadata.labels.get("uses", ""))])
    a, b, config = builders.pod("a").labels(uses="x"), builders.pod("b"), builders.config_map("x")
    made_caches = caches(a, b, config)
    made = links(made_caches, core.PODS, refers)
    assert keys(made.view(Item(core.PODS, a.key), 0).all(core.CONFIG_MAPS)) == ["x"]
    assert concerned(made, None, config) == ["pods/a"]
    put(made_caches, b.labels(uses="x"))
    assert concerned(made, config, None) == ["pods/a", "pods/b"]


def test_selected_objects_are_in_the_primarys_namespace() -> None:
    selects = Selected(core.PODS, lambda s, p: s.spec.selector.items() <= p.metadata.labels.items())
    service = builders.service("s").selects(app="x")
    a, other = builders.pod("a").labels(app="x"), builders.pod("b", "other").labels(app="x")
    made = links(caches(service, a, other), core.SERVICES, selects)
    assert keys(made.view(Item(core.SERVICES, service.key), 0).all(core.PODS)) == ["a"]
    assert concerned(made, None, a) == ["services/s"]
    assert concerned(made, a, builders.pod("a").labels(app="y")) == ["services/s"]
    assert concerned(made, None, other) == []


def test_two_links_of_one_kind_are_united() -> None:
    refers = Referred(core.PODS, lambda j: [Key("default", "friend")])
    child, friend = builders.pod("child").owned_by(JOB), builders.pod("friend").owned_by(JOB)
    made = links(caches(JOB, child, friend), JOBS, Owned(core.PODS), refers)
    assert keys(made.view(Item(JOBS, JOB.key), 0).all(core.PODS)) == ["child", "friend"]


def test_a_controller_may_ignore_changes_of_its_primary() -> None:
    made = links(caches(), JOBS, heeds=lambda old, new: old is None)
    assert concerned(made, None, JOB) == ["jobs/j"]
    assert concerned(made, JOB, JOB) == []


def test_what_a_terminating_namespace_contains() -> None:
    going, pod = builders.namespace("team").deleting(), builders.pod("p", "team")
    made = links(caches(going, builders.namespace("default"), pod), core.NAMESPACES, Contained())
    view = made.view(Item(core.NAMESPACES, Key("", "team")), 0)
    assert view.across.contained == (Found(core.PODS, pod.view()),)
    assert concerned(made, pod, None) == ["namespaces/team"]
    assert concerned(made, None, builders.pod("p")) == []


def test_owners_and_dependents_across_kinds() -> None:
    pod = builders.pod("p").owned_by(JOB)
    made_caches = caches(JOB, pod)
    made = links(made_caches, reconciler.EVERY, Owners(), Dependents())
    (owner,) = made.view(Item(core.PODS, pod.key), 0).across.owners
    assert (owner.resource, owner.key, owner.alive) == (JOBS, JOB.key, True)
    assert made.view(Item(JOBS, JOB.key), 0).across.dependents == (Found(core.PODS, pod.view()),)
    assert concerned(made, None, JOB) == ["jobs/j"]
    assert concerned(made, JOB, JOB.deleting()) == ["jobs/j", "pods/p"]
    put(made_caches, JOB.deleting())
    assert concerned(made, pod, None) == ["jobs/j", "pods/p"]
    assert concerned(made, JOB.deleting(), None) == ["jobs/j", "pods/p"]


def test_nothing_is_known_of_owners_that_cannot_be_found() -> None:
    config = builders.config_map("c")
    made_caches = caches(builders.node("n").owned_by(config), builders.pod("p").owned_by(JOB))
    made_caches.hide(JOBS)
    made = links(made_caches, reconciler.EVERY, Owners())
    for kind, key in ((core.NODES, Key("", "n")), (core.PODS, Key("default", "p"))):
        (owner,) = made.view(Item(kind, key), 0).across.owners
        assert (owner.resource, owner.alive) == (None, False)


def test_a_kind_that_is_gone_has_an_empty_view() -> None:
    made = links(Caches(), reconciler.EVERY, Owners())
    assert made.view(Item(JOBS.seen_as(Object), JOB.key), 0).object is None
