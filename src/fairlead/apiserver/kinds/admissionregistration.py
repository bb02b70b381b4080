"""admissionregistration.k8s.io: the form of webhook configurations, policies and their bindings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from fairlead.api.admissionregistration import GROUP
from fairlead.apiserver.kinds import naming, selectors
from fairlead.apiserver.kinds.ways import Obj, Rule, Ways, part, parts, spec_of
from fairlead.base.errors import Cause
from fairlead.machinery import causes, cel

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_FAILURES = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_VERSIONS = ("v1", "v1beta1")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CONDITION_NAMES = frozenset(("object", "oldObject", "request", "authorizer"))
"""What a webhook's match conditions may read."""
POLICY_NAMES = CONDITION_NAMES | {"params", "namespaceObject", "variables"}
"""What a policy's expressions may read."""

# --- defaults ------------------------------------------------------------------------------------------------------


def _webhooks_default(configuration: Obj) -> None:
    mutating = configuration.get("kind") == "MutatingWebhookConfiguration"
    for hook in parts(configuration, "webhooks"):
        for field, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
            hook.setdefault(field, value)
        for field in ("namespaceSelector", "objectSelector"):
            if hook.get(field) is None:
                hook[field] = {}
        if mutating:
            hook.setdefault("reinvocationPolicy", "Never")
        service = part(hook, "clientConfig").get("service")
        if isinstance(service, dict):
            service.setdefault("port", 443)
        _scopes_default(parts(hook, "rules"))


def _scopes_default(rules: list[Obj]) -> None:
    for rule in rules:
        rule.setdefault("scope", "*")


def _match_default(match: Any) -> None:
    if isinstance(match, dict):
        match.setdefault("matchPolicy", "Equivalent")
        for field in ("namespaceSelector", "objectSelector"):
            if match.get(field) is None:
                match[field] = {}
        for field in ("resourceRules", "excludeResourceRules"):
            _scopes_default(parts(match, field))


def _policy_default(policy: Obj) -> None:
    spec = spec_of(policy)
    spec.setdefault("failurePolicy", "Fail")
    _match_default(spec.get("matchConstraints"))


def _binding_default(binding: Obj) -> None:
    _match_default(spec_of(binding).get("matchResources"))


# --- webhooks ------------------------------------------------------------------------------------------------------


def _webhooks(*, mutating: bool) -> Rule:
    def rules(configuration: Obj) -> Iterator[Cause]:
        seen: set[str] = set()
        for index, hook in enumerate(parts(configuration, "webhooks")):
            yield from _webhook(hook, f"webhooks[{index}]", mutating=mutating)
            name = hook.get("name", "")
            if name in seen:
                yield causes.duplicate(f"webhooks[{index}].name", name)
            seen.add(name)

    return rules


def _webhook(hook: Obj, at: str, *, mutating: bool) -> Iterator[Cause]:
    yield from _full_name(hook.get("name", ""), f"{at}.name")
    for index, rule in enumerate(parts(hook, "rules")):
        yield from _rule(rule, f"{at}.rules[{index}]")
    yield from _one_of(hook, "failurePolicy", _FAILURES, at)
    yield from _one_of(hook, "matchPolicy", _MATCHES, at)
    if not hook.get("sideEffects"):
        yield causes.required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun")
    yield from _one_of(hook, "sideEffects", ("None", "NoneOnDryRun"), at)
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        yield causes.invalid(f"{at}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        yield from selectors.validate(part(hook, field), f"{at}.{field}")
    if mutating:
        yield from _one_of(hook, "reinvocationPolicy", ("IfNeeded", "Never"), at)
    yield from _client(part(hook, "clientConfig"), f"{at}.clientConfig")
    yield from conditions(parts(hook, "matchConditions"), f"{at}.matchConditions", CONDITION_NAMES)
    versions = hook.get("admissionReviewVersions") or []
    if not versions:
        yield causes.required(f"{at}.admissionReviewVersions", f"must specify one of {', '.join(_VERSIONS)}")
    elif not set(versions) & set(_VERSIONS):
        detail = f"must include at least one of {', '.join(_VERSIONS)}"
        yield causes.invalid(f"{at}.admissionReviewVersions", versions, detail)


def _full_name(name: str, at: str) -> Iterator[Cause]:
    if not name:
        yield causes.required(at)
        return
    complaints = naming.subdomain(name)
    for complaint in complaints:
        yield causes.invalid(at, name, complaint)
    if not complaints and len(name.split(".")) < 3:
        yield causes.invalid(at, name, "should be a domain with at least three segments separated by dots")


def _one_of(holder: Obj, field: str, choices: Sequence[str], at: str) -> Iterator[Cause]:
    value = holder.get(field)
    if value is not None and value not in choices:
        yield causes.not_supported(f"{at}.{field}", value, choices)


def _rule(rule: Obj, at: str) -> Iterator[Cause]:
    operations = rule.get("operations") or []
    if not operations:
        yield causes.required(f"{at}.operations")
    elif "*" in operations and len(operations) > 1:
        detail = "if '*' is present, must not specify other operations"
        yield causes.invalid(f"{at}.operations", operations, detail)
    for index, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            yield causes.not_supported(f"{at}.operations[{index}]", operation, _OPERATIONS)
    for field, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            yield causes.required(f"{at}.{field}")
        elif "*" in values and len(values) > 1:
            yield causes.invalid(f"{at}.{field}", values, f"if '*' is present, must not specify other {what}")
    yield from _resources(rule.get("resources") or [], f"{at}.resources")
    names = rule.get("resourceNames") or []
    for index, name in enumerate(names):
        if name in names[:index]:
            yield causes.duplicate(f"{at}.resourceNames[{index}]", name)
    yield from _one_of(rule, "scope", _SCOPES, at)


def _resources(resources: list[str], at: str) -> Iterator[Cause]:
    if not resources:
        yield causes.required(at)
    if "*/*" in resources and len(resources) > 1:
        yield causes.invalid(at, resources, "if '*/*' is present, must not specify other resources")
        return
    if "*" in resources and any("/" not in r for r in resources if r != "*"):
        detail = "if '*' is present, must not specify other resources without subresources"
        yield causes.invalid(at, resources, detail)
    for index, resource in enumerate(resources):
        plural, slash, subresource = resource.partition("/")
        if not resource:
            yield causes.required(f"{at}[{index}]")
        elif slash and subresource != "*" and f"{plural}/*" in resources:
            detail = f"if '{plural}/*' is present, must not specify {resource}"
            yield causes.invalid(f"{at}[{index}]", resource, detail)
        elif slash and plural != "*" and f"*/{subresource}" in resources:
            detail = f"if '*/{subresource}' is present, must not specify {resource}"
            yield causes.invalid(f"{at}[{index}]", resource, detail)


def _client(config: Obj, at: str) -> Iterator[Cause]:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield causes.required(at, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(url, f"{at}.url")
    else:
        yield from _service(part(config, "service"), f"{at}.service")


def _url(url: str, at: str) -> Iterator[Cause]:
    form = "; desired format: https://host[/path]"
    try:
        split = urlsplit(url)
    except ValueError as problem:
        yield causes.required(at, f"url must be a valid URL: {problem}{form}")
        return
    if split.scheme != "https":
        yield causes.invalid(at, split.scheme, f"'https' is the only allowed URL scheme{form}")
    if not split.hostname:
        yield causes.invalid(at, split.netloc, f"host must be specified{form}")
    if split.username is not None:
        yield causes.invalid(at, split.netloc, "user information is not permitted in the URL")
    if split.fragment:
        yield causes.invalid(at, split.fragment, "fragments are not permitted in the URL")
    if split.query:
        yield causes.invalid(at, split.query, "query parameters are not permitted in the URL")


def _service(service: Obj, at: str) -> Iterator[Cause]:
    for field, what in (("name", "name"), ("namespace", "namespace")):
        if not service.get(field):
            yield causes.required(f"{at}.{field}", f"service {what} is required")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield causes.invalid(f"{at}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    path = service.get("path")
    if not path or path == "/":
        return
    if not path.startswith("/"):
        yield causes.invalid(f"{at}.path", path, "must start with a '/'")
        return
    steps = path[1:].split("/")
    for index, step in enumerate(steps):
        last = index == len(steps) - 1
        if not step and not last:
            yield causes.invalid(f"{at}.path", path, f"segment[{index}] may not be empty")
        for complaint in naming.subdomain(step) if step else ():
            yield causes.invalid(f"{at}.path", path, f"segment[{index}]: {complaint}")


# --- expressions ---------------------------------------------------------------------------------------------------


def conditions(found: list[Obj], at: str, names: frozenset[str]) -> Iterator[Cause]:
    """Match conditions: named expressions, all of which must hold."""
    seen: set[str] = set()
    if len(found) > 64:
        yield causes.too_many(at, len(found), 64)
    for index, condition in enumerate(found):
        where, name = f"{at}[{index}]", condition.get("name", "")
        yield from expression(condition.get("expression", ""), f"{where}.expression", names, ("bool",))
        if not name:
            yield causes.required(f"{where}.name")
        for complaint in naming.qualified(name) if name else ():
            yield causes.invalid(f"{where}.name", name, complaint)
        if name and name in seen:
            yield causes.duplicate(f"{where}.name", name)
        seen.add(name)


def expression(text: str, at: str, names: frozenset[str], types: tuple[str, ...] = ()) -> Iterator[Cause]:
    """What is wrong with an expression; of what type it is, is known here only where it reads nothing."""
    if not text.strip():
        yield causes.required(at, "" if at.endswith("matchConditions") else "expression is not specified")
        return
    try:
        program = cel.compile(text, names)
        if not types or program.names:
            return
        found = _type_of(program.evaluate({}))
    except cel.CelError as problem:
        yield causes.invalid(at, text, f"compilation failed: ERROR: <input>: {problem}")
        return
    if found not in types:
        wanted = types[0] if len(types) == 1 else f"one of [{' '.join(types)}]"
        yield causes.invalid(at, text, f"must evaluate to {wanted} but got {found}")


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null_type"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "double"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "map"
    return "dyn"


# --- policies ------------------------------------------------------------------------------------------------------


def _policy_rules(policy: Obj) -> Iterator[Cause]:
    spec = spec_of(policy)
    yield from _one_of(spec, "failurePolicy", _FAILURES, "spec")
    if "paramKind" in spec:
        yield from _param_kind(part(spec, "paramKind"), "spec.paramKind")
    if spec.get("matchConstraints") is None:
        yield causes.required("spec.matchConstraints")
    else:
        yield from _match(part(spec, "matchConstraints"), "spec.matchConstraints", required=True)
    names = POLICY_NAMES if "paramKind" in spec else POLICY_NAMES - {"params"}
    yield from conditions(parts(spec, "matchConditions"), "spec.matchConditions", names - {"variables"})
    for index, variable in enumerate(parts(spec, "variables")):
        at, name = f"spec.variables[{index}]", variable.get("name", "")
        if not name:
            yield causes.required(f"{at}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name):
            yield causes.invalid(f"{at}.name", name, "must be a valid CEL identifier")
        yield from expression(variable.get("expression", ""), f"{at}.expression", names)
    validations, annotations = parts(spec, "validations"), parts(spec, "auditAnnotations")
    if not validations and not annotations:
        for field in ("validations", "auditAnnotations"):
            detail = "validations or auditAnnotations must contain at least one item"
            yield causes.required(f"spec.{field}", detail)
    for index, validation in enumerate(validations):
        yield from _validation(validation, f"spec.validations[{index}]", names)
    for index, annotation in enumerate(annotations):
        yield from _annotation(policy, annotation, f"spec.auditAnnotations[{index}]", names)


def _validation(validation: Obj, at: str, names: frozenset[str]) -> Iterator[Cause]:
    yield from expression(validation.get("expression", ""), f"{at}.expression", names, ("bool",))
    if validation.get("messageExpression"):
        yield from expression(validation["messageExpression"], f"{at}.messageExpression", names, ("string",))
    message = validation.get("message")
    if message and not message.strip():
        yield causes.invalid(f"{at}.message", message, "message must be non-empty if specified")
    elif message and "\n" in message.strip():
        yield causes.invalid(f"{at}.message", message, "must not contain line breaks")
    elif not message and "\n" in validation.get("expression", "").strip():
        yield causes.required(f"{at}.message", "message must be specified if expression contains line breaks")
    yield from _one_of(validation, "reason", _REASONS, at)


def _annotation(policy: Obj, annotation: Obj, at: str, names: frozenset[str]) -> Iterator[Cause]:
    key = annotation.get("key", "")
    if not key:
        yield causes.required(f"{at}.key")
    else:
        whole = f"{policy['metadata'].get('name', '')}/{key}"
        for complaint in naming.qualified(whole):
            yield causes.invalid(f"{at}.key", whole, complaint)
    text = annotation.get("valueExpression", "")
    yield from expression(text, f"{at}.valueExpression", names, ("string", "null_type"))


def _param_kind(kind: Obj, at: str) -> Iterator[Cause]:
    for field in ("apiVersion", "kind"):
        if not kind.get(field):
            yield causes.required(f"{at}.{field}")


def _match(match: Obj, at: str, *, required: bool = False) -> Iterator[Cause]:
    yield from _one_of(match, "matchPolicy", _MATCHES, at)
    for field in ("namespaceSelector", "objectSelector"):
        yield from selectors.validate(part(match, field), f"{at}.{field}")
    if required and not match.get("resourceRules"):
        yield causes.required(f"{at}.resourceRules")
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(parts(match, field)):
            yield from _rule(rule, f"{at}.{field}[{index}]")


def _binding_rules(binding: Obj) -> Iterator[Cause]:
    spec = spec_of(binding)
    name = spec.get("policyName", "")
    if not name:
        yield causes.required("spec.policyName")
    for complaint in naming.subdomain(name) if name else ():
        yield causes.invalid("spec.policyName", name, complaint)
    if spec.get("paramRef") is not None:
        yield from _param_ref(part(spec, "paramRef"), "spec.paramRef")
    if spec.get("matchResources") is not None:
        yield from _match(part(spec, "matchResources"), "spec.matchResources")
    actions = spec.get("validationActions") or []
    if not actions:
        yield causes.required("spec.validationActions", "at least one validation action is required")
    for index, action in enumerate(actions):
        at = f"spec.validationActions[{index}]"
        if action not in _ACTIONS:
            yield causes.not_supported(at, action, _ACTIONS)
        if action in actions[:index]:
            yield causes.duplicate(at, action)
    if "Deny" in actions and "Warn" in actions:
        detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API "\
                 "response and headers serves no purpose)"  # fmt: skip
        yield causes.invalid("spec.validationActions", actions, detail)


def _param_ref(reference: Obj, at: str) -> Iterator[Cause]:
    name, selector = reference.get("name"), reference.get("selector")
    if name and selector is not None:
        detail = "name and selector are mutually exclusive"
        yield causes.forbidden(f"{at}.name", detail)
        yield causes.forbidden(f"{at}.selector", detail)
    elif not name and selector is None:
        yield causes.required(at, "one of name or selector must be specified")
    if selector is not None:
        yield from selectors.validate(part(reference, "selector"), f"{at}.selector")
    if not reference.get("parameterNotFoundAction"):
        yield causes.required(f"{at}.parameterNotFoundAction")
    yield from _one_of(reference, "parameterNotFoundAction", ("Allow", "Deny"), at)


WAYS = {
    (GROUP, "mutatingwebhookconfigurations"): Ways(_webhooks_default, _webhooks(mutating=True)),
    (GROUP, "validatingwebhookconfigurations"): Ways(_webhooks_default, _webhooks(mutating=False)),
    (GROUP, "validatingadmissionpolicies"): Ways(_policy_default, _policy_rules),
    (GROUP, "validatingadmissionpolicybindings"): Ways(_binding_default, _binding_rules),
}
