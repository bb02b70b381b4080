from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.agent.devices import Devices, Unavailable, fake


def test_devices_are_exclusive_and_remembered(tmp_path: Path) -> None:
    devices = Devices(str(tmp_path), fake(3))
    assert devices.assign("a", {"x": 1, "y": 1}) == {"x": ["0"], "y": ["1"]}
    again = Devices(str(tmp_path), fake(3))
    assert again.free == ["2"]
    with pytest.raises(Unavailable, match=r"2 nvidia\.com/gpu asked for, 1 of 3 free"):
        again.assign("b", {"x": 2})
    assert again.environment("a", "y") == {"CUDA_VISIBLE_DEVICES": "1", "NVIDIA_VISIBLE_DEVICES": "1"}
    assert again.environment("b", "x")["CUDA_VISIBLE_DEVICES"] == ""
    again.release("a")
    assert Devices(str(tmp_path), fake(3)).free == ["0", "1", "2"]
