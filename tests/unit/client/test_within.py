"""Within: one namespace of a server."""

from __future__ import annotations

from fairlead.api import core
from fairlead.client.protocol import ListOptions
from fairlead.client.within import Within
from fairlead.testing import builders
from fairlead.testing.cluster import Cluster


async def test_lists_and_watches_one_namespace() -> None:
    async with Cluster() as cluster:
        for name in ("a", "b"):
            await cluster.create(builders.namespace(name))
            await cluster.create(builders.config_map("m", name))
        client = Within(cluster.client, "a")
        found = await client.list(core.CONFIG_MAPS)
        assert [m.metadata.namespace for m in found.items] == ["a"]
        assert len((await client.list(core.NAMESPACES)).items) > 1
        for name in ("b", "a"):
            await cluster.create(builders.config_map("n", name))
        watch = client.watch(core.CONFIG_MAPS, options=ListOptions(revision=found.revision))
        event = await anext(aiter(watch))
        assert event.object is not None
        assert event.object.metadata.namespace == "a"
        await watch.aclose()
