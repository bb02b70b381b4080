"""Controllers: one file, one controller, one pure `reconcile(view) -> [Change]`, exported as `CONTROLLER`.

They know of each other only what the API says. A new file here is found by `discover`; third parties' are found by the
entry-point group `fairlead.controllers`, each naming a `Controller`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from fairlead.reconcile.reconciler import Controller

GROUP = "fairlead.controllers"


def discover() -> Sequence[Controller[Any]]:
    """Every controller there is, by name. Raises ValueError when two have one name."""
    ours = [importlib.import_module(f"{__name__}.{m.name}").CONTROLLER for m in pkgutil.iter_modules(__path__)]
    theirs = [entry.load() for entry in metadata.entry_points(group=GROUP)]
    found: dict[str, Controller[Any]] = {}
    for controller in (*ours, *theirs):
        if controller.name in found:
            raise ValueError(f"two controllers are named {controller.name}; rename one, the name is its field manager")
        found[controller.name] = controller
    return [found[name] for name in sorted(found)]
