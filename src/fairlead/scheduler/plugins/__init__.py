"""Plugins: every module here exports `PLUGIN`.

The entry-point group `fairlead.scheduler_plugins` adds those of third parties.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib import metadata

from fairlead.scheduler.plugin import Plugin

GROUP = "fairlead.scheduler_plugins"


@cache
def load() -> tuple[Plugin, ...]:
    """All plugins in the order of their filters. Raises ValueError when two have one name."""
    found = [importlib.import_module(f"{__name__}.{m.name}").PLUGIN for m in pkgutil.iter_modules(__path__)]
    found += [entry.load() for entry in metadata.entry_points(group=GROUP)]
    names = [plugin.name for plugin in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two scheduler plugins are named {name}; uninstall or rename one of them")
    return tuple(sorted(found, key=lambda plugin: (plugin.order, plugin.name)))
