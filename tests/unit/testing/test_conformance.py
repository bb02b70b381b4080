"""The suite finds what it is there to find."""

import pytest

from fairlead.api import core
from fairlead.api.core import ConfigMap
from fairlead.reconcile.reconciler import Change, Controller, Create, Patch, View
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster
from fairlead.testing.conformance import controller as suite


async def story(cluster: Cluster) -> None:
    await cluster.apply(builders.config_map("a").labels(wanted="yes"))
    await cluster.run_until_quiet(1)


def restless(view: View[ConfigMap]) -> list[Change]:
    """Asks for the same patch for ever, which changes nothing."""
    if view.object is None or "wanted" not in view.object.metadata.labels:
        return []
    return [Patch(core.CONFIG_MAPS, view.key, {"metadata": {"labels": {"wanted": "yes"}}})]


def forgetful(view: View[ConfigMap]) -> list[Change]:
    """Marks its work as done before it is."""
    if view.object is None or view.object.metadata.labels.get("wanted") != "yes":
        return []
    mark = Patch(core.CONFIG_MAPS, view.key, {"metadata": {"labels": {"wanted": "done"}}})
    return [mark, Create(core.CONFIG_MAPS, builders.config_map("b").manifest())]


def careful(view: View[ConfigMap]) -> list[Change]:
    """Does its work before it marks it as done."""
    return list(reversed(forgetful(view)))


def controller(reconcile) -> Controller[ConfigMap]:
    return Controller("under-test", core.CONFIG_MAPS, reconcile)


async def test_a_restless_controller_is_found() -> None:
    with pytest.raises(AssertionError, match="not settled by its own changes"):
        await suite.is_settled_by_its_own_changes(controller(restless), story)


async def test_a_forgetful_controller_is_found() -> None:
    with pytest.raises(AssertionError, match="killed after write"):
        await suite.survives_crashes(controller(forgetful), story)


async def test_a_careful_controller_passes() -> None:
    await suite.is_settled_by_its_own_changes(controller(careful), story)
    await suite.survives_crashes(controller(careful), story)


async def test_a_kind_without_a_story_is_named() -> None:
    with pytest.raises(LookupError, match="configmaps"):
        await suite.survives_crashes(controller(careful))
