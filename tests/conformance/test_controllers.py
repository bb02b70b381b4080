"""Every controller that is found, without an edit here."""

from typing import Any

import pytest

from fairlead import controllers
from fairlead.reconcile.reconciler import Controller
from fairlead.testing.conformance import controller as suite

EVERY = pytest.mark.parametrize("controller", controllers.discover(), ids=suite.name)


@EVERY
async def test_is_settled_by_its_own_changes(controller: Controller[Any]) -> None:
    await suite.is_settled_by_its_own_changes(controller)


@EVERY
async def test_survives_crashes(controller: Controller[Any]) -> None:
    await suite.survives_crashes(controller)
