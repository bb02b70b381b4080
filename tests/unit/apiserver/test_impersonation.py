"""Who acts as whom."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from fairlead.apiserver import identity, impersonation, rbac
from fairlead.apiserver.identity import User
from fairlead.base import errors

ADMIN = User("root", groups=("system:masters", "system:authenticated"))
EVE = User("eve", groups=("system:authenticated",))


class Roles:
    """eve may be user `bob`, group `dev`, and give the extra `scopes` the value `view`."""

    generation = 0

    def cluster_bindings(self):
        subject = {"kind": "User", "name": "eve"}
        return [{"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [subject]}]

    def bindings(self, namespace):
        return []

    def rules(self, kind, namespace, name):
        def rule(group, resource, one):
            return {"verbs": ["impersonate"], "apiGroups": [group], "resources": [resource], "resourceNames": [one]}

        return [
            rule("", "users", "bob"),
            rule("", "groups", "dev"),
            rule("authentication.k8s.io", "userextras/scopes", "view"),
        ]


def act(user, *headers):
    return impersonation.act(CIMultiDict(headers), user, rbac.Authorizer(Roles()))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Impersonate-User", "bob")], User("bob", groups=("system:authenticated",))),
        (
            [("impersonate-user", "bob"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"),
             ("Impersonate-Uid", "7"), ("Impersonate-Extra-Acme.com%2fScope", "x"),
             ("Impersonate-Extra-acme.com%2fscope", "y")],
            User("bob", "7", ("a", "b", "system:authenticated"), {"acme.com/scope": ("x", "y")}),
        ),
        (
            [("Impersonate-User", "system:serviceaccount:n:s")],
            User("system:serviceaccount:n:s",
                 groups=("system:serviceaccounts", "system:serviceaccounts:n", "system:authenticated")),
        ),
        ([("Impersonate-User", "system:anonymous")], identity.ANONYMOUS),
    ],
)  # fmt: skip
def test_acts_as(headers, expected):
    assert act(ADMIN, *headers) == expected


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ([("Impersonate-User", "bob")], ""),
        ([("Impersonate-User", "bob"), ("Impersonate-Group", "dev"), ("Impersonate-Extra-Scopes", "view")], ""),
        ([("Impersonate-User", "root")], 'users "root" is forbidden: User "eve" cannot impersonate resource "users"'),
        (
            [("Impersonate-User", "bob"), ("Impersonate-Group", "system:masters")],
            'groups "system:masters" is forbidden: User "eve" cannot impersonate resource "groups"',
        ),
        ([("Impersonate-User", "bob"), ("Impersonate-Uid", "1")], 'cannot impersonate resource "uids"'),
        (
            [("Impersonate-User", "bob"), ("Impersonate-Extra-Scopes", "admin")],
            'cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io"',
        ),
        (
            [("Impersonate-User", "system:serviceaccount:n:s")],
            'cannot impersonate resource "serviceaccounts" in API group "" in the namespace "n"',
        ),
    ],
)
def test_every_part_takes_permission(headers, refused):
    if not refused:
        assert act(EVE, *headers).name == "bob"
        return
    with pytest.raises(errors.StatusError) as caught:
        act(EVE, *headers)
    assert caught.value.code == 403
    assert refused in caught.value.message


def test_without_a_user_it_is_refused():
    with pytest.raises(errors.StatusError) as caught:
        act(ADMIN, ("Impersonate-Group", "x"))
    assert (caught.value.code, caught.value.message) == (
        400,
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)} '
        "without impersonating a user name",
    )


def test_other_headers_ask_for_nothing():
    assert not impersonation.asked(((b"Accept", b"x"), (b"Authorization", b"Bearer impersonate-user")))
    assert impersonation.asked(((b"IMPERSONATE-extra-a", b"x"),))
