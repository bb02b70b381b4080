"""The roles and bindings that every server has, as Kubernetes 1.36 has them, and what `edit` and `view` mean for the
bundled kinds.

A line is a rule: `verbs groups: resources`, with `= names` where it is about certain objects only, or `verbs paths`; a
line that is indented further goes on with the one before. `read`, `write` and `all` stand for the verbs one expects;
`core` is the group without a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.api.rbac import GROUP

Plain = dict[str, Any]

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
"""The annotation of what is completed again when the server starts, unless it is set to false."""
_BOOTSTRAP = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGGREGATE = f"{GROUP}/aggregate-to-"
_READ, _WRITE = ("get", "list", "watch"), ("create", "delete", "deletecollection", "patch", "update")
_VERBS = {"read": _READ, "write": _WRITE, "all": tuple(sorted((*_READ, *_WRITE)))}

_ROLES = {
    "cluster-admin": """
        * *: *
        * *
    """,
    "system:aggregate-to-admin": """
        create authorization.k8s.io: localsubjectaccessreviews
        all rbac.authorization.k8s.io: rolebindings roles
    """,
    "system:aggregate-to-edit": """
        read core: pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
        impersonate core: serviceaccounts
        write core: pods pods/attach pods/exec pods/portforward pods/proxy
        create core: pods/eviction
        write core: configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale
            secrets serviceaccounts services services/proxy
        create core: serviceaccounts/token
        write core,events.k8s.io: events
        write apps: daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale
            statefulsets statefulsets/scale
        write autoscaling: horizontalpodautoscalers
        write batch: cronjobs jobs
        write extensions: daemonsets deployments deployments/rollback deployments/scale ingresses
            networkpolicies replicasets replicasets/scale replicationcontrollers/scale
        write policy: poddisruptionbudgets
        write networking.k8s.io: ingresses networkpolicies
        all coordination.k8s.io: leases
        write resource.k8s.io: resourceclaims resourceclaimtemplates
    """,
    "system:aggregate-to-view": """
        read core: configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods
            replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
        read core: bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status
            resourcequotas resourcequotas/status
        read core: namespaces
        read core,events.k8s.io: events
        read discovery.k8s.io: endpointslices
        read apps: controllerrevisions daemonsets daemonsets/status deployments deployments/scale
            deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale
            statefulsets/status
        read autoscaling: horizontalpodautoscalers horizontalpodautoscalers/status
        read batch: cronjobs cronjobs/status jobs jobs/status
        read extensions: daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses
            ingresses/status networkpolicies replicasets replicasets/scale replicasets/status
            replicationcontrollers/scale
        read policy: poddisruptionbudgets poddisruptionbudgets/status
        read networking.k8s.io: ingresses ingresses/status networkpolicies
        read resource.k8s.io: resourceclaims resourceclaims/status resourceclaimtemplates
    """,
    "system:auth-delegator": """
        create authentication.k8s.io: tokenreviews
        create authorization.k8s.io: subjectaccessreviews
    """,
    "system:basic-user": """
        create authorization.k8s.io: selfsubjectaccessreviews selfsubjectrulesreviews
        create authentication.k8s.io: selfsubjectreviews
    """,
    "system:discovery": """
        get /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/
    """,
    "system:kube-aggregator": """
        read core: endpoints services
    """,
    "system:kube-controller-manager": """
        create,patch,update core,events.k8s.io: events
        create coordination.k8s.io: leases
        get,update coordination.k8s.io: leases = kube-controller-manager
        create core: secrets serviceaccounts
        delete core: secrets
        get core: configmaps namespaces secrets serviceaccounts
        update core: secrets serviceaccounts
        create authentication.k8s.io: tokenreviews
        create authorization.k8s.io: subjectaccessreviews
        list,watch *: *
        create core: serviceaccounts/token
    """,
    "system:kube-dns": """
        list,watch core: endpoints services
    """,
    "system:kube-scheduler": """
        create,patch,update core,events.k8s.io: events
        create coordination.k8s.io: leases
        get,list,update,watch coordination.k8s.io: leases = kube-scheduler
        all coordination.k8s.io: leasecandidates
        read core: nodes
        delete,get,list,watch core: pods
        create core: bindings pods/binding
        patch,update core: pods/status
        read core: replicationcontrollers services
        read apps,extensions: replicasets
        read apps: statefulsets
        read policy: poddisruptionbudgets
        read core: persistentvolumeclaims persistentvolumes
        create authentication.k8s.io: tokenreviews
        create authorization.k8s.io: subjectaccessreviews
        read storage.k8s.io: csinodes
        read storage.k8s.io: volumeattachments
        read core: namespaces
        read storage.k8s.io: csidrivers
        read storage.k8s.io: csistoragecapacities
        read resource.k8s.io: deviceclasses
        get,list,patch,update,watch resource.k8s.io: resourceclaims
        get,list,patch,update,watch resource.k8s.io: resourceclaims/status
        update core: pods/finalizers
        read resource.k8s.io: resourceslices
        create,delete resource.k8s.io: resourceclaims
        patch,update resource.k8s.io: resourceclaims/binding
    """,
    "system:kubelet-api-admin": """
        read core: nodes
        proxy core: nodes
        * core: nodes/log nodes/metrics nodes/proxy nodes/stats
        * core: nodes/configz nodes/healthz nodes/pods
    """,
    "system:monitoring": """
        get /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
        get core: nodes/metrics
    """,
    "system:node": """
        create authentication.k8s.io: tokenreviews
        create authorization.k8s.io: localsubjectaccessreviews subjectaccessreviews
        read core: services
        create,get,list,watch core: nodes
        patch,update core: nodes/status
        patch,update core: nodes
        create,patch,update core,events.k8s.io: events
        read core: pods
        create,delete core: pods
        patch,update core: pods/status
        create core: pods/eviction
        read core: configmaps secrets
        get core: persistentvolumeclaims persistentvolumes
        get core: endpoints
        create,get,list,watch certificates.k8s.io: certificatesigningrequests
        create,delete,get,patch,update coordination.k8s.io: leases
        get storage.k8s.io: volumeattachments
        create core: serviceaccounts/token
        get,patch,update core: persistentvolumeclaims/status
        read storage.k8s.io: csidrivers
        create,delete,get,patch,update storage.k8s.io: csinodes
        read node.k8s.io: runtimeclasses
        get resource.k8s.io: resourceclaims
        deletecollection resource.k8s.io: resourceslices
        get core: serviceaccounts
    """,
    "system:node-problem-detector": """
        get core: nodes
        patch core: nodes/status
        create,patch,update core,events.k8s.io: events
    """,
    "system:node-proxier": """
        list,watch core: endpoints services
        read core: nodes
        create,patch,update core,events.k8s.io: events
        list,watch networking.k8s.io: servicecidrs
        list,watch discovery.k8s.io: endpointslices
    """,
    "system:persistent-volume-provisioner": """
        create,delete,get,list,watch core: persistentvolumes
        get,list,update,watch core: persistentvolumeclaims
        read storage.k8s.io: storageclasses
        watch core: events
        create,patch,update core,events.k8s.io: events
    """,
    "system:public-info-viewer": """
        get /healthz /livez /readyz /version /version/
    """,
    "system:service-account-issuer-discovery": """
        get /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks
            /openid/v1/jwks/
    """,
    "system:volume-scheduler": """
        get,list,patch,update,watch core: persistentvolumes
        read storage.k8s.io: storageclasses
        get,list,patch,update,watch core: persistentvolumeclaims
    """,
    "fairlead:aggregate-to-edit": """
        write jobset.x-k8s.io: jobsets
        write trainer.kubeflow.org: trainjobs trainingruntimes
        write scheduling.k8s.io: podgroups workloads
    """,
    "fairlead:aggregate-to-view": """
        read jobset.x-k8s.io: jobsets jobsets/status
        read trainer.kubeflow.org: trainjobs trainjobs/status trainingruntimes clustertrainingruntimes
        read scheduling.k8s.io: podgroups podgroups/status workloads
    """,
}
_AGGREGATED = {"admin": (), "edit": ("admin",), "view": ("edit",)}
"""The roles that are made of others, and into which of these each goes itself."""

_BINDINGS = {
    "cluster-admin": ("cluster-admin", "Group system:masters"),
    "system:basic-user": ("system:basic-user", "Group system:authenticated"),
    "system:discovery": ("system:discovery", "Group system:authenticated"),
    "system:public-info-viewer": (
        "system:public-info-viewer", "Group system:authenticated", "Group system:unauthenticated",
    ),
    "system:monitoring": ("system:monitoring", "Group system:monitoring"),
    "system:service-account-issuer-discovery": (
        "system:service-account-issuer-discovery", "Group system:serviceaccounts",
    ),
    "system:kube-controller-manager": ("system:kube-controller-manager", "User system:kube-controller-manager"),
    "system:kube-scheduler": ("system:kube-scheduler", "User system:kube-scheduler"),
    "system:volume-scheduler": ("system:volume-scheduler", "User system:kube-scheduler"),
    "system:node-proxier": ("system:node-proxier", "User system:kube-proxy"),
    "system:node": ("system:node",),
}  # fmt: skip


def cluster_roles() -> Iterator[Plain]:
    """The ClusterRoles."""
    for name in _ROLES:
        target = name.partition("aggregate-to-")[2]
        yield {"metadata": _metadata(name, (target,) if target else ()), "rules": rules_of(name)}
    for name, targets in _AGGREGATED.items():
        selector = {"matchLabels": {_AGGREGATE + name: "true"}}
        aggregation = {"clusterRoleSelectors": [selector]}
        yield {"metadata": _metadata(name, targets), "rules": [], "aggregationRule": aggregation}


def rules_of(name: str) -> list[Plain]:
    """The rules of one of the ClusterRoles."""
    return [_rule(line) for line in _lines(_ROLES[name])]


def cluster_role_bindings() -> Iterator[Plain]:
    """The ClusterRoleBindings."""
    for name, (role, *subjects) in _BINDINGS.items():
        binding: Plain = {"metadata": _metadata(name), "roleRef": _about("ClusterRole", role)}
        if subjects:
            binding["subjects"] = [_about(*subject.split(" ")) for subject in subjects]
        yield binding


def _metadata(name: str, targets: tuple[str, ...] = ()) -> Plain:
    labels = _BOOTSTRAP | {_AGGREGATE + target: "true" for target in targets}
    return {"name": name, "labels": labels, "annotations": {AUTOUPDATE: "true"}}


def _about(kind: str, name: str) -> Plain:
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def _lines(text: str) -> Iterator[str]:
    """The rules of a text: lines at the first line's indentation begin one."""
    whole, indent = "", 8
    for line in text.splitlines():
        if line[indent:].startswith(" "):
            whole += " " + line.strip()
        else:
            if whole.strip():
                yield whole
            whole = line.strip()
    if whole.strip():
        yield whole


def _rule(line: str) -> Plain:
    verbs, _, rest = line.partition(" ")
    rule: Plain = {"verbs": list(_VERBS.get(verbs, verbs.split(",")))}
    groups, about, resources = rest.partition(": ")
    if not about:
        return rule | {"nonResourceURLs": rest.split()}
    rule["apiGroups"] = ["" if group == "core" else group for group in groups.split(",")]
    kinds, named, names = resources.partition(" = ")
    rule["resources"] = kinds.split()
    return rule | {"resourceNames": names.split()} if named else rule
