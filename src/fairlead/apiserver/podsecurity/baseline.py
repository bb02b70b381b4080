"""The checks of level `baseline`: known ways out of a container."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.apiserver.podsecurity.spec import (
    Check,
    Plain,
    Subject,
    Violation,
    below,
    containers,
    counted,
    in_user_namespace,
    named,
    of_containers,
    quoted,
    security,
    setters,
)

_CAPABILITIES = frozenset((
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
))  # fmt: skip
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_PROFILES = ("RuntimeDefault", "Localhost")
_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
))  # fmt: skip
SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
SYSCTLS_29 = SYSCTLS_27 | {f"net.ipv4.tcp_{n}" for n in ("keepalive_time", "fin_timeout", "keepalive_intvl",
                                                         "keepalive_probes")}  # fmt: skip
SYSCTLS_32 = SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SELINUX = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
SELINUX_31 = _SELINUX | {"container_engine_t"}


def app_armor(pod: Subject) -> Violation | None:
    values: set[str] = set()
    own = below(pod.spec, "appArmorProfile", "type") or "RuntimeDefault"
    bad_pod = own not in _PROFILES
    names = []
    for container in containers(pod.spec):
        type_ = below(container, "appArmorProfile", "type") or "RuntimeDefault"
        if type_ not in _PROFILES:
            names.append(container["name"])
            values.add(type_)
    if bad_pod:
        values.add(own)
    said = [f'{k}="{v}"' for k, v in pod.annotations.items() if k.startswith(_APPARMOR) and not _confined(v)]
    if not (bad_pod or names or said):
        return None
    who = [setters(bad_pod, names)] if bad_pod or names else []
    who += [f"annotation{'s' if len(said) > 1 else ''}"] if said else []
    all_ = sorted(values | set(said))
    reason = "forbidden AppArmor profile" + ("s" if len(all_) > 1 else "")
    return Violation(reason, f"{' and '.join(who)} must not set AppArmor profile type to {quoted(all_)}")


def _confined(value: str) -> bool:
    return value in ("", "runtime/default") or value.startswith("localhost/")


def capabilities(pod: Subject) -> Violation | None:
    added = [(c["name"], set(below(c, "capabilities", "add") or ()) - _CAPABILITIES) for c in containers(pod.spec)]
    names, forbidden = [n for n, more in added if more], sorted({x for _, more in added for x in more})
    if not names:
        return None
    what = f"{of_containers(names)} must not include {quoted(forbidden)} in securityContext.capabilities.add"
    return Violation("non-default capabilities", what)


def host_namespaces(pod: Subject) -> Violation | None:
    used = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def host_paths(pod: Subject) -> Violation | None:
    names = [v["name"] for v in pod.spec.get("volumes") or () if v.get("hostPath") is not None]
    return Violation("hostPath volumes", counted(names, "volume", "volumes")) if names else None


def host_ports(pod: Subject) -> Violation | None:
    used = [(c["name"], {str(p["hostPort"]) for p in c.get("ports") or () if p.get("hostPort")})
            for c in containers(pod.spec)]  # fmt: skip
    names, ports = [n for n, some in used if some], sorted({p for _, some in used for p in some})
    if not names:
        return None
    verb = f"{'uses' if len(names) == 1 else 'use'} hostPort{'s' if len(ports) > 1 else ''}"
    return Violation("hostPort", f"{of_containers(names)} {verb} {', '.join(ports)}")


def host_probes(pod: Subject) -> Violation | None:
    """Since 1.34: a probe makes the node ask a host of the Pod's choice."""
    asked = [(c["name"], set(_hosts(c))) for c in containers(pod.spec)]
    names, hosts = [n for n, some in asked if some], sorted({h for _, some in asked for h in some})
    if not names:
        return None
    verb = f"{'uses' if len(names) == 1 else 'use'} probe or lifecycle host{'s' if len(hosts) > 1 else ''}"
    return Violation("probe or lifecycle host", f"{of_containers(names)} {verb} {quoted(hosts)}")


def _hosts(container: Plain) -> Iterator[str]:
    hooks = container.get("lifecycle") or {}
    acts = [container.get(f"{probe}Probe") or {} for probe in ("liveness", "readiness", "startup")]
    for act in (*acts, hooks.get("postStart") or {}, hooks.get("preStop") or {}):
        for way in ("httpGet", "tcpSocket"):
            host = (act.get(way) or {}).get("host")
            if host:
                yield host


def privileged(pod: Subject) -> Violation | None:
    names = named(pod.spec, lambda c: bool(security(c).get("privileged")))
    what = "must not set securityContext.privileged=true"
    return Violation("privileged", f"{of_containers(names)} {what}") if names else None


def proc_mount(pod: Subject) -> Violation | None:
    masks = [(c["name"], security(c).get("procMount") or "Default") for c in containers(pod.spec)]
    names, values = [n for n, m in masks if m != "Default"], sorted({m for _, m in masks if m != "Default"})
    what = f"must not set securityContext.procMount to {quoted(values)}"
    return Violation("procMount", f"{of_containers(names)} {what}") if names else None


def proc_mount_35(pod: Subject) -> Violation | None:
    """Since 1.35: any, in a user namespace."""
    return None if in_user_namespace(pod.spec) else proc_mount(pod)


def selinux(types: frozenset[str]) -> Check:
    """Types of the container's domain only; user and role are the system's."""

    def check(pod: Subject) -> Violation | None:
        found = [(name, security(h).get("seLinuxOptions") or {}) for name, h in _holders(pod.spec)]
        bad = [(n, o) for n, o in found if o.get("type", "") not in types or o.get("user") or o.get("role")]
        if not bad:
            return None
        wrong = sorted({o["type"] for _, o in bad if o.get("type", "") not in types})
        told = [counted(wrong, "type", "types")] if wrong else []
        told += [f"{field} may not be set" for field in ("user", "role") if any(o.get(field) for _, o in bad)]
        who = setters(any(n is None for n, _ in bad), [n for n, _ in bad if n is not None])
        return Violation("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(told)}")

    return check


selinux_1 = selinux(_SELINUX)
selinux_31 = selinux(SELINUX_31)


def _holders(spec: Plain) -> Iterator[tuple[str | None, Plain]]:
    """The Pod (None) and its containers, by name."""
    yield None, spec
    for container in containers(spec):
        yield container["name"], container


def seccomp_annotations(pod: Subject) -> Violation | None:
    """Before 1.19, by annotations."""
    keys = [_SECCOMP_POD, *(_SECCOMP + c["name"] for c in containers(pod.spec))]
    said = sorted({f'{k}="{pod.annotations[k]}"' for k in keys if k in pod.annotations
                   and not _filtered(pod.annotations[k])})  # fmt: skip
    if not said:
        return None
    return Violation("seccompProfile", f"forbidden annotation{'s' if len(said) > 1 else ''} {', '.join(said)}")


def _filtered(value: str) -> bool:
    return value in ("runtime/default", "docker/default") or value.startswith("localhost/")


def seccomp(pod: Subject) -> Violation | None:
    found = [(name, below(holder, "seccompProfile", "type")) for name, holder in _holders(pod.spec)]
    bad = [(n, t) for n, t in found if t is not None and t not in _PROFILES]
    if not bad:
        return None
    who = setters(any(n is None for n, _ in bad), [n for n, _ in bad if n is not None])
    values = quoted(sorted({t for _, t in bad}))
    return Violation("seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {values}")


def sysctls(safe: frozenset[str]) -> Check:
    """Those that belong to the Pod alone."""

    def check(pod: Subject) -> Violation | None:
        unsafe = [s["name"] for s in security(pod.spec).get("sysctls") or () if s["name"] not in safe]
        return Violation("forbidden sysctls", ", ".join(unsafe)) if unsafe else None

    return check


sysctls_1 = sysctls(_SYSCTLS)
sysctls_27 = sysctls(SYSCTLS_27)
sysctls_29 = sysctls(SYSCTLS_29)
sysctls_32 = sysctls(SYSCTLS_32)


def windows_host_process(pod: Subject) -> Violation | None:
    bad = [name for name, holder in _holders(pod.spec) if below(holder, "windowsOptions", "hostProcess")]
    if not bad:
        return None
    who = setters(None in bad, [n for n in bad if n is not None])
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")
