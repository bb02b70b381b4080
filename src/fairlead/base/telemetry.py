"""Logs: one line an event, `level name: message key=value`, to standard error."""

from __future__ import annotations

import logging
import sys


def logger(name: str) -> logging.Logger:
    """The logger of a part, for instance `logger("scheduler")`."""
    return logging.getLogger(f"fairlead.{name}")


def configure(level: str = "INFO") -> None:
    """Send Fairlead's logs to standard error. Called once, by the composition root."""
    root = logging.getLogger("fairlead")
    root.setLevel(level)
    root.propagate = False
    if not root.handlers:
        out = logging.StreamHandler(sys.stderr)
        out.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(out)
