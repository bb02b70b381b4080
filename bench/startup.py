"""From `fairlead up` to /readyz, memory and CPU when idle, and the import of the command line.

The limit in the same run is a Python that does nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

from fairlead.testing.plane import Plane

RUNS = 5
IDLE = 20.0


def start_once(directory: Path) -> tuple[float, Plane]:
    plane = Plane(directory)
    begun = time.monotonic()
    plane.start()
    return time.monotonic() - begun, plane


def time_of(*command: str) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, *command], check=True)
    return time.monotonic() - begun


def main() -> None:
    firsts, again = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for run in range(RUNS):
            directory = Path(scratch) / str(run)
            seconds, plane = start_once(directory)
            plane.stop()
            firsts.append(seconds)
            seconds, plane = start_once(directory)
            again.append(seconds)
            if run < RUNS - 1:
                plane.stop()
        assert plane.process is not None
        time.sleep(3)
        before = machine.cpu_seconds(plane.process.pid)
        time.sleep(IDLE)
        busy = (machine.cpu_seconds(plane.process.pid) - before) / IDLE
        memory = machine.resident(plane.process.pid)
        plane.stop()
    bare = statistics.median(time_of("-c", "pass") for _ in range(RUNS))
    imported = statistics.median(time_of("-c", "import fairlead.cli") for _ in range(RUNS))
    machine.show(
        "start and idle (medians)",
        ["what", "measured", "aim", "ratio to a bare Python"],
        [
            [
                "first start to ready",
                f"{statistics.median(firsts):.2f} s",
                "1.0 s",
                f"{statistics.median(firsts) / bare:.0f}",
            ],
            [
                "start again to ready",
                f"{statistics.median(again):.2f} s",
                "1.0 s",
                f"{statistics.median(again) / bare:.0f}",
            ],
            ["resident memory, idle", f"{memory:.0f} MB", "120 MB", ""],
            ["CPU when idle", f"{busy:.2%}", "1 %", ""],
            ["import fairlead.cli", f"{imported * 1000:.0f} ms", "150 ms", f"{imported / bare:.1f}"],
        ],
    )


if __name__ == "__main__":
    main()
