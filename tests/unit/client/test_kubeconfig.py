import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.client import kubeconfig
from fairlead.client.kubeconfig import ConfigError, Connection


def config(**changes: Any) -> dict[str, Any]:
    whole = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}],
    }
    return whole | changes


@pytest.fixture
def write(tmp_path: Path):
    def write(content: Any, name: str = "config") -> Path:
        file = tmp_path / name
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return file

    return write


def user(**fields: Any) -> dict[str, Any]:
    return config(users=[{"name": "u", "user": fields}])


def test_the_current_context(write: Any) -> None:
    expected = Connection("https://127.0.0.1:6443", namespace="ml", token="secret")
    assert kubeconfig.load(write(config())) == expected


def test_another_context(write: Any) -> None:
    contexts = [*config()["contexts"], {"name": "there", "context": {"cluster": "c"}}]
    assert kubeconfig.load(write(config(contexts=contexts)), "there") == Connection("https://127.0.0.1:6443")


def test_certificates_inline_and_in_files(write: Any) -> None:
    write("PEM of the user", "user.crt")
    inline = base64.b64encode(b"PEM of the CA").decode()
    cluster = {"server": "https://h", "certificate-authority-data": inline, "tls-server-name": "fairlead"}
    content = user(**{"client-certificate": "user.crt", "client-key-data": base64.b64encode(b"KEY").decode()})
    found = kubeconfig.load(write(content | {"clusters": [{"name": "c", "cluster": cluster}]}))
    assert (found.ca, found.certificate, found.key) == ("PEM of the CA", "PEM of the user", "KEY")
    assert (found.server_name, found.insecure) == ("fairlead", False)


def test_a_token_file_lies_beside_the_kubeconfig(write: Any, tmp_path: Path) -> None:
    assert kubeconfig.load(write(user(tokenFile="token"))).token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (user(exec={"command": "aws"}), "user 'u' .* logs in by 'exec', which runs a program"),
        (user(**{"auth-provider": {"name": "gcp"}}), "needs a plugin"),
        (user(username="admin", password="x"), "logs in by 'username'"),
        (config(**{"current-context": ""}), "has no current-context"),
        (config(**{"current-context": "gone"}), r"has no context 'gone' \(it has: here\)"),
        (config(clusters=[]), r"has no cluster 'c' \(it has: none\)"),
        (config(clusters=[{"name": "c", "cluster": {}}]), "names no server"),
        (user(**{"client-key-data": "%%"}), "client-key of kubeconfig .* is not a PEM"),
        (user(**{"client-certificate": "gone.crt"}), "client-certificate .*gone.crt .* cannot be read: No such file"),
        ("a: [", "is not YAML"),
        ("just text", "is not a configuration"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(write: Any, content: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        kubeconfig.load(write(content))


def test_the_environment_names_files_and_the_first_wins(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write({"contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "one"}}]}, "one")
    two = write(config(), "two")
    monkeypatch.setenv("KUBECONFIG", f"{one}:{tmp_path / 'missing'}:{two}")
    found = kubeconfig.load()
    assert (found.namespace, found.token) == ("one", "secret")


def test_nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="Start one with `fairlead up`, or set KUBECONFIG"):
        kubeconfig.load()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="gone cannot be read: No such file"):
        kubeconfig.load()
