"""Who is asking: static tokens, service account tokens, nobody."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from fairlead.apiserver import auth, certs, identity, jwt
from fairlead.apiserver.identity import User
from fairlead.base import errors

NOW = 1_790_000_000.0
ALICE = User("alice", "7", ("team-a", "dev"))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return certs.ensure(tmp_path_factory.mktemp("pki"), now=NOW).signing_key.read_bytes()


class Objects:
    """What exists: (plural, namespace, name) to uid."""

    def __init__(self) -> None:
        self.uids = {("serviceaccounts", "ns", "bob"): "u1", ("pods", "ns", "p"): "u2"}

    def exists(self, plural: str, namespace: str, name: str, uid: str) -> bool:
        return self.uids.get((plural, namespace, name)) == uid


def refused(authenticator: auth.Authenticator, header: str, now: float = NOW) -> bool:
    with pytest.raises(errors.StatusError) as caught:
        authenticator.authenticate(header, now=now)
    return caught.value.code == 401


def test_static_tokens() -> None:
    authenticator = auth.Authenticator({"secret": ALICE})

    user = authenticator.authenticate("Bearer secret", now=NOW)

    assert user == User("alice", "7", ("team-a", "dev", "system:authenticated"))
    assert authenticator.authenticate("bearer  secret", now=NOW) == user


def test_without_credentials_everybody_is_anonymous() -> None:
    assert auth.Authenticator({}).authenticate("", now=NOW) is identity.ANONYMOUS


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic YTpi", "secret", "Bearer a.b.c", "Bearer é"])
def test_wrong_credentials_are_never_anonymous(key: bytes, header: str) -> None:
    tokens = jwt.Tokens(key, Objects().exists)
    assert refused(auth.Authenticator({"secret": ALICE}, tokens), header)


def test_a_websocket_may_carry_its_token_as_a_protocol() -> None:
    encoded = base64.urlsafe_b64encode(b"secret").rstrip(b"=").decode()
    protocols = f"base64url.bearer.authorization.k8s.io.{encoded}, v5.channel.k8s.io"

    user = auth.Authenticator({"secret": ALICE}).authenticate("", now=NOW, protocols=protocols)

    assert user.name == "alice"


def test_token_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"

    made = auth.ensure_tokens(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert auth.read_tokens(path) == made == auth.ensure_tokens(path)
    admin = made[auth.token_of(made, "admin")]
    assert admin.groups == ("system:masters",)
    assert len(auth.token_of(made, "admin")) >= 40


def test_token_file_of_upstreams_form(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text('t1,alice,7,"team-a,dev"\nt2,bob,8\n\n')

    assert auth.read_tokens(path) == {"t1": ALICE, "t2": User("bob", "8")}


def test_token_file_with_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text("t1,alice,7\nonly-a-token\n")

    with pytest.raises(ValueError, match=r"tokens\.csv:2: a line is token,user,uid"):
        auth.read_tokens(path)


def test_kubeconfig() -> None:
    config = auth.kubeconfig("https://127.0.0.1:1", b"PEM", "t")

    assert config["users"][0]["user"] == {"token": "t"}
    assert config["clusters"][0]["cluster"] == {
        "server": "https://127.0.0.1:1", "certificate-authority-data": "UEVN"
    }  # fmt: skip
    assert config["current-context"] == config["contexts"][0]["name"]


def test_service_account_tokens(key: bytes) -> None:
    tokens = jwt.Tokens(key, Objects().exists)
    subject = jwt.Subject("ns", "bob", "u1", jwt.Reference("p", "u2"))
    token = tokens.issue(subject, [], 600, now=NOW, identifier="id-1")

    user = auth.Authenticator({}, tokens).authenticate(f"Bearer {token}", now=NOW + 599)

    assert user == User(
        "system:serviceaccount:ns:bob", "u1",
        ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"),
        {
            "authentication.kubernetes.io/credential-id": ("JTI=id-1",),
            "authentication.kubernetes.io/pod-name": ("p",),
            "authentication.kubernetes.io/pod-uid": ("u2",),
        },
    )  # fmt: skip


def test_a_token_ends(key: bytes) -> None:
    objects = Objects()
    tokens = jwt.Tokens(key, objects.exists)
    authenticator = auth.Authenticator({}, tokens)
    token = tokens.issue(jwt.Subject("ns", "bob", "u1", jwt.Reference("p", "u2")), [], 600, now=NOW, identifier="i")
    header = f"Bearer {token}"
    authenticator.authenticate(header, now=NOW)

    assert refused(authenticator, header, NOW + 600)
    objects.uids["pods", "ns", "p"] = "another"
    assert refused(authenticator, header)
    objects.uids["pods", "ns", "p"] = "u2"
    del objects.uids["serviceaccounts", "ns", "bob"]
    assert refused(authenticator, header)


def test_audiences(key: bytes) -> None:
    tokens = jwt.Tokens(key, Objects().exists)
    token = tokens.issue(jwt.Subject("ns", "bob", "u1"), ["vault"], 600, now=NOW, identifier="i")

    assert tokens.verify(token, now=NOW, audiences=["vault", "x"]).uid == "u1"
    with pytest.raises(errors.StatusError):
        tokens.verify(token, now=NOW)


def test_a_changed_token_is_refused(key: bytes, tmp_path: Path) -> None:
    tokens = jwt.Tokens(key, Objects().exists)
    token = tokens.issue(jwt.Subject("ns", "bob", "u1"), [], 600, now=NOW, identifier="i")
    other_key = certs.ensure(tmp_path, now=NOW).signing_key.read_bytes()
    foreign = jwt.Tokens(other_key, Objects().exists).issue(
        jwt.Subject("ns", "bob", "u1"), [], 600, now=NOW, identifier="i"
    )
    header, payload, signature = token.split(".")
    forged = base64.urlsafe_b64decode(payload + "==").replace(b"bob", b"eve")
    forged_payload = base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()

    for bad in (foreign, f"{header}.{forged_payload}.{signature}", f"{none}.{payload}.", f"{header}.{payload}."):
        with pytest.raises(errors.StatusError):
            tokens.verify(bad, now=NOW)
