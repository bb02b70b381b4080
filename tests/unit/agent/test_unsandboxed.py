from __future__ import annotations

import pytest

from fairlead.agent import unsandboxed
from fairlead.agent.runtimes import Mount
from fairlead.api.core import Pod, PodSpec
from fairlead.api.meta import ObjectMeta

MOUNTS = (
    Mount("/workspace", "/v/script"), Mount("/workspace/data", "/v/data"), Mount("/etc/app/a.conf", "/v/conf"),
)  # fmt: skip
NAMES = {"a-0.a": "127.1.0.2", "a-0.a.ns.svc": "127.1.0.2"}
BOTH = unsandboxed.Rewriting(MOUNTS, NAMES)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("/workspace/train.py", "/v/script/train.py"),
        ("/workspace", "/v/script"),
        ("--in=/workspace/data --out /workspace/out", "--in=/v/data --out /v/script/out"),
        ("cat /etc/app/a.conf; echo done > '/workspace/x'", "cat /v/conf; echo done > '/v/script/x'"),
        ("/home/me/workspace", "/home/me/workspace"),
        ("./workspace ~/workspace $HOME/workspace", "./workspace ~/workspace $HOME/workspace"),
        ("/workspaces /workspace-2 /workspace.bak", "/workspaces /workspace-2 /workspace.bak"),
        ("file:///workspace/x", "file:///workspace/x"),
        ("a-0.a", "127.1.0.2"),
        ("tcp://a-0.a.ns.svc:29500", "tcp://127.1.0.2:29500"),
        ("data-0.a a-0.ab a-0.a.other x.a-0.a", "data-0.a a-0.ab a-0.a.other x.a-0.a"),
    ],
)
def test_only_what_stands_alone(text: str, becomes: str) -> None:
    assert BOTH.text(text) == becomes


def test_the_hosts_own_variables_keep_their_paths() -> None:
    below = {"PATH": "/workspace/bin", "X": "a-0.a"}
    assert BOTH.values({**below, "MINE": "/workspace/bin"}, below) == {
        "PATH": "/workspace/bin", "X": "127.1.0.2", "MINE": "/v/script/bin",
    }  # fmt: skip


def test_nothing_to_replace() -> None:
    assert unsandboxed.Rewriting((), {}).text("/workspace a-0.a") == "/workspace a-0.a"


def test_variables_say_where_volumes_lie() -> None:
    assert unsandboxed.variables(MOUNTS[1:]) == {
        "FAIRLEAD_MOUNT_WORKSPACE_DATA": "/v/data", "FAIRLEAD_MOUNT_ETC_APP_A_CONF": "/v/conf",
    }  # fmt: skip


def test_peers_that_have_no_address_yet() -> None:
    pod = Pod(metadata=ObjectMeta(namespace="ns"), spec=PodSpec(subdomain="train"))
    texts = ["x-0.train", "tcp://x-1.train.ns.svc.cluster.local:1", "my.train.py", "a.b.train", "x-2.training", "train"]
    assert unsandboxed.unknown(texts, pod, {"x-0.train": "127.0.0.2"}) == {"x-1.train.ns.svc.cluster.local"}
    assert unsandboxed.unknown(texts, Pod(), {}) == set()
