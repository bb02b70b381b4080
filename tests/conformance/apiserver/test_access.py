"""Access over real HTTP: roles, bindings, what may not be granted, impersonation, reviews; in upstream's words."""

from __future__ import annotations

import aiohttp
import pytest

from fairlead.apiserver import app, assembly, bootstrap
from fairlead.apiserver.identity import User
from fairlead.store.memory import MemoryStore

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"
PODS = "/api/v1/namespaces/default/pods"
USERS = {"admin": User("admin", groups=("system:masters",)), "bob": User("bob", groups=("dev",)), "eve": User("eve")}
READ_PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}


@pytest.fixture
async def ask():
    made = assembly.assemble(MemoryStore(), assembly.Settings(tokens=USERS))
    made.definitions.start()
    await bootstrap.fill(made.api)
    runner = await app.serve(made.app, 0, None)
    base = f"http://127.0.0.1:{app.bound_port(runner)}"
    async with aiohttp.ClientSession(base) as session:

        async def ask(who, method, path, body=None, **headers):
            headers = {k.replace("_", "-"): v for k, v in headers.items()}
            headers |= {"Authorization": f"Bearer {who}"} if who else {}
            async with session.request(method, path, json=body, headers=headers) as answer:
                text = await answer.text()
                return answer.status, (await answer.json() if text.startswith("{") else text)

        yield ask
    await made.close()
    await runner.cleanup()


def role(name, *rules, kind="Role"):
    return {"kind": kind, "metadata": {"name": name}, "rules": list(rules)}


def binding(name, reference, *subjects):
    kind, _, to = reference.partition("/")
    split = [s.partition("/") for s in subjects]
    about = [{"kind": kind, "name": name} for kind, _, name in split]
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": to}, "subjects": about}


async def test_a_binding_holds_at_once_and_until_it_goes(ask):
    assert (await ask("bob", "GET", PODS))[0] == 403
    assert (await ask("admin", "POST", f"{RBAC}/namespaces/default/roles", role("read", READ_PODS)))[0] == 201
    code, made = await ask(
        "admin", "POST", f"{RBAC}/namespaces/default/rolebindings", binding("b", "Role/read", "Group/dev")
    )
    assert code == 201
    assert made["roleRef"]["apiGroup"] == made["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    assert (await ask("bob", "GET", PODS))[0] == 200
    assert (await ask("bob", "GET", "/api/v1/namespaces/kube-system/pods"))[0] == 403
    assert (await ask("eve", "GET", PODS))[0] == 403
    await ask("admin", "DELETE", f"{RBAC}/namespaces/default/rolebindings/b")
    code, answer = await ask("bob", "GET", PODS)
    assert (code, answer["message"]) == (
        403,
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"',
    )


async def test_anonymous_gets_health_and_nothing_else(ask):
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await ask("", "GET", path))[0] == 200
    for path in ("/version", "/api", PODS, "/openapi/v3", "/metrics"):
        assert (await ask("", "GET", path))[0] == 403
    body = binding("open", "ClusterRole/cluster-admin", "Group/system:unauthenticated")
    assert (await ask("admin", "POST", f"{RBAC}/clusterrolebindings", body))[0] == 201
    assert (await ask("", "GET", PODS))[0] == 403


async def test_nobody_grants_what_they_do_not_hold(ask):
    verbs, group = ["create", "get", "update"], "rbac.authorization.k8s.io"
    manage = {"verbs": verbs, "apiGroups": [group], "resources": ["roles", "rolebindings"]}
    await ask("admin", "POST", f"{RBAC}/clusterroles", role("manager", manage, READ_PODS, kind="ClusterRole"))
    await ask("admin", "POST", f"{RBAC}/clusterrolebindings", binding("m", "ClusterRole/manager", "User/bob"))
    roles, bindings = f"{RBAC}/namespaces/default/roles", f"{RBAC}/namespaces/default/rolebindings"

    code, made = await ask("bob", "POST", roles, role("read", READ_PODS))
    assert code == 201
    more = {**READ_PODS, "verbs": ["get", "delete"], "resources": ["pods", "secrets"]}
    code, answer = await ask("bob", "PUT", f"{roles}/read", {**made, "rules": [more]})
    assert (code, answer["message"]) == (
        403,
        'roles.rbac.authorization.k8s.io "read" is forbidden: user "bob" (groups=["dev" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "delete"]}',
    )
    assert (await ask("bob", "POST", bindings, binding("b", "Role/read", "User/eve")))[0] == 201
    code, answer = await ask("bob", "POST", bindings, binding("c", "ClusterRole/cluster-admin", "User/eve"))
    assert code == 403
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in answer["message"]
    assert (await ask("bob", "POST", bindings, binding("d", "Role/gone", "User/eve")))[0] == 404


async def test_escalate_and_bind_are_verbs(ask):
    rules = [
        {"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]},
        {"verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]},
        {"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"],
         "resourceNames": ["edit"]},
    ]  # fmt: skip
    await ask("admin", "POST", f"{RBAC}/clusterroles", role("manager", *rules, kind="ClusterRole"))
    await ask("admin", "POST", f"{RBAC}/clusterrolebindings", binding("m", "ClusterRole/manager", "User/bob"))

    at = f"{RBAC}/namespaces/default"
    assert (await ask("bob", "POST", f"{at}/roles", role("read", READ_PODS)))[0] == 201
    assert (await ask("bob", "POST", f"{at}/rolebindings", binding("e", "ClusterRole/edit", "User/eve")))[0] == 201
    assert (await ask("bob", "POST", f"{at}/rolebindings", binding("a", "ClusterRole/cluster-admin", "User/eve")))[
        0
    ] == 403


async def test_aggregation_takes_everything(ask):
    manage = {"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}
    await ask(
        "admin", "POST", f"{RBAC}/clusterroles", role("manager", {**manage, "verbs": ["create"]}, kind="ClusterRole")
    )
    await ask("admin", "POST", f"{RBAC}/clusterrolebindings", binding("m", "ClusterRole/manager", "User/bob"))
    body = role("all", kind="ClusterRole") | {
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    }
    code, answer = await ask("bob", "POST", f"{RBAC}/clusterroles", body)
    assert code == 403
    assert answer["message"].endswith("must have cluster-admin privileges to use an aggregationRule")
    assert (await ask("admin", "POST", f"{RBAC}/clusterroles", body))[0] == 201


async def test_forms_are_checked(ask):
    bad = {
        "metadata": {"name": "x"},
        "roleRef": {"kind": "Foo", "name": "", "apiGroup": "x"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "a"},
            {"kind": "User", "name": "", "apiGroup": "b"},
            {"kind": "Bad", "name": "x"},
            {"kind": "ServiceAccount", "name": "a", "namespace": "n", "apiGroup": "k"},
        ],
    }
    code, answer = await ask("admin", "POST", f"{RBAC}/namespaces/default/rolebindings", bad)
    group = "rbac.authorization.k8s.io"
    assert (code, answer["message"]) == (
        422,
        f'RoleBinding.{group} "x" is invalid: [roleRef.apiGroup: Unsupported value: "x": supported values: "{group}", '
        'roleRef.kind: Unsupported value: "Foo": supported values: "Role", "ClusterRole", '
        "roleRef.name: Required value, subjects[1].name: Required value, "
        f'subjects[1].apiGroup: Unsupported value: "b": supported values: "{group}", '
        'subjects[2].kind: Unsupported value: "Bad": supported values: "ServiceAccount", "User", "Group", '
        'subjects[3].apiGroup: Unsupported value: "k": supported values: ""]',
    )
    wrong = [{"verbs": [], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["get"], "nonResourceURLs": ["/a"]}]
    code, answer = await ask("admin", "POST", f"{RBAC}/namespaces/default/roles", role("x", *wrong))
    assert [c["field"] for c in answer["details"]["causes"]] == ["rules[0].verbs", "rules[1].nonResourceURLs"]
    code, answer = await ask("admin", "POST", f"{RBAC}/clusterroles", {"metadata": {"name": "a/b"}})
    assert answer["details"]["causes"][0]["message"] == "Invalid value: \"a/b\": may not contain '/'"
    made = binding("y", "ClusterRole/view", "User/x")
    await ask("admin", "POST", f"{RBAC}/clusterrolebindings", made)
    made["roleRef"]["name"] = "edit"
    code, answer = await ask("admin", "PUT", f"{RBAC}/clusterrolebindings/y", made)
    assert (code, answer["details"]["causes"][0]["field"]) == (422, "roleRef")


async def test_impersonation(ask):
    code, answer = await ask("admin", "GET", PODS, Impersonate_User="bob")
    assert (code, answer["message"].partition(" cannot")[0]) == (403, 'pods is forbidden: User "bob"')
    code, answer = await ask("bob", "GET", PODS, Impersonate_User="admin", Impersonate_Group="system:masters")
    assert (code, answer["details"]) == (403, {"name": "admin", "kind": "users"})
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    _, answer = await ask("admin", "POST", path, {}, Impersonate_User="bob", Impersonate_Group="q")
    assert answer["status"]["userInfo"] == {"username": "bob", "groups": ["q", "system:authenticated"]}


async def test_reviews(ask):
    async def may(who, spec, kind="selfsubjectaccessreviews"):
        return (await ask(who, "POST", f"{REVIEWS}/{kind}", {"spec": spec}))[1]

    pods = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    assert (await may("admin", pods))["status"] == {"allowed": True}
    assert (await may("bob", pods))["status"] == {"allowed": False}
    version = await may("bob", {"nonResourceAttributes": {"verb": "get", "path": "/version"}})
    assert version["status"]["allowed"]
    assert version["status"]["reason"].startswith("RBAC: allowed by ClusterRoleBinding")
    neither = await may("bob", {})
    assert neither["message"] == (
        '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of '
        "nonResourceAttributes or resourceAttributes must be specified"
    )
    nobody = await may("admin", pods, "subjectaccessreviews")
    assert nobody["details"]["causes"][0]["field"] == "spec.user"
    masters = await may("admin", pods | {"groups": ["system:masters"]}, "subjectaccessreviews")
    assert masters["status"] == {"allowed": True}
    elsewhere = await may("admin", pods | {"user": "x"}, "namespaces/kube-system/localsubjectaccessreviews")
    assert elsewhere["details"]["causes"][0]["message"].endswith("must match metadata.namespace")
    rules = await may("eve", {"namespace": "default"}, "selfsubjectrulesreviews")
    assert rules["spec"] == {}
    assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in rules[
        "status"
    ]["resourceRules"]


async def test_default_roles(ask):
    _, view = await ask("admin", "GET", f"{RBAC}/clusterroles/system:basic-user")
    assert view["metadata"]["annotations"] == {"rbac.authorization.kubernetes.io/autoupdate": "true"}
    _, admin = await ask("admin", "GET", f"{RBAC}/clusterroles/admin")
    assert admin["aggregationRule"] == {
        "clusterRoleSelectors": [{"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}]
    }
