"""Selectors: which objects a label selector, a node selector or a field selector picks.

Grammar, messages and matching follow apimachinery's `labels` and `fields`. A selector is immutable; an empty one
picks everything, and what to do with an absent one (`None`) is the caller's rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

_NAME: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_TOKEN: Final = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)")

_NAME_RULE: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_PREFIX_RULE: Final = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_RULE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_SYMBOLS: Final = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}
_OPERATORS: Final = {
    "In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt",
}  # fmt: skip
_EXPECTED_OPERATOR: Final = "in, notin, =, ==, !=, gt, lt"


class Requirement(NamedTuple):
    """One term: a key, an operator (`in`, `notin`, `=`, `==`, `!=`, `exists`, `!`, `gt`, `lt`) and its values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        if value is None or not _INTEGER.fullmatch(value):
            return False
        return int(value) > int(self.values[0]) if self.operator == "gt" else int(value) < int(self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
        return f"{self.key}{ {'gt': '>', 'lt': '<'}.get(self.operator, self.operator) }{self.values[0]}"


class LabelSelector:
    """Terms that must all hold, ordered by key."""

    __slots__ = ("requirements",)

    def __init__(self, requirements: Iterable[Requirement] = ()) -> None:
        self.requirements = tuple(sorted(requirements, key=lambda r: r.key))

    @property
    def empty(self) -> bool:
        """Whether it picks everything."""
        return not self.requirements

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        have = labels or {}
        return all(r.matches(have) for r in self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"LabelSelector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSelector) and self.requirements == other.requirements

    def __hash__(self) -> int:
        return hash(self.requirements)


EVERYTHING: Final = LabelSelector()


def parse_labels(text: str) -> LabelSelector:
    """The selector of a `labelSelector` parameter, such as `app in (a,b),!canary`. Raises ValueError."""
    return LabelSelector(_Parser(text).requirements()) if text else EVERYTHING


def from_labels(labels: Mapping[str, str] | None) -> LabelSelector:
    """Exactly these labels, as a ReplicationController's or a Service's `selector` says it."""
    return LabelSelector(Requirement(k, "=", (v,)) for k, v in (labels or {}).items())


def from_label_selector(selector: Mapping[str, Any] | None) -> LabelSelector:
    """The selector in a `metav1.LabelSelector`: `matchLabels` and `matchExpressions`. Raises ValueError."""
    if not selector:
        return EVERYTHING
    terms = [Requirement(k, "in", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        if expression.get("operator") not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise ValueError(f'"{expression.get("operator")}" is not a valid label selector operator')
        terms.append(_expression(expression))
    return LabelSelector(terms)


def from_requirements(expressions: Iterable[Mapping[str, Any]]) -> LabelSelector:
    """The selector of node selector expressions: a metav1.LabelSelector's operators, and Gt and Lt."""
    return LabelSelector([_expression(e) for e in expressions])


def check_key(key: str) -> str:
    """What is wrong with a label's key; "" if nothing is."""
    prefix, slash, name = key.rpartition("/")
    complaints = []
    if slash and "/" in prefix:
        rule = _NAME_RULE.removeprefix("name part ")
        return f"a valid label key {rule} with an optional DNS subdomain prefix and '/'"
    if slash and not prefix:
        complaints.append("prefix part must be non-empty")
    elif slash and len(prefix) > 253:
        complaints.append("prefix part must be no more than 253 characters")
    elif slash and not _PREFIX.fullmatch(prefix):
        complaints.append(_PREFIX_RULE)
    if not name:
        complaints.append("name part must be non-empty")
    if len(name) > 63:
        complaints.append("name part must be no more than 63 characters")
    if not _NAME.fullmatch(name):
        complaints.append(_NAME_RULE)
    return "; ".join(complaints)


def check_value(value: str) -> str:
    """What is wrong with a label's value; "" if nothing is."""
    complaints = []
    if len(value) > 63:
        complaints.append("must be no more than 63 characters")
    if value and not _NAME.fullmatch(value):
        complaints.append(_VALUE_RULE)
    return "; ".join(complaints)


def _expression(expression: Mapping[str, Any]) -> Requirement:
    operator = _OPERATORS.get(str(expression.get("operator")))
    if operator is None:
        raise ValueError(f'"{expression.get("operator")}" is not a valid node selector operator')
    return _checked(str(expression.get("key", "")), operator, tuple(expression.get("values") or ()))


def _checked(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    complaints = []
    if wrong := check_key(key):
        complaints.append(f'key: Invalid value: "{key}": {wrong}')
    if wrong := _count_complaint(operator, values):
        complaints.append(f"values: Invalid value: {_listed(values)}: {wrong}")
    for i, value in enumerate(values):
        if operator in ("gt", "lt") and not _INTEGER.fullmatch(value):
            rule = "for 'Gt', 'Lt' operators, the value must be an integer"
            complaints.append(f'values[{i}]: Invalid value: "{value}": {rule}')
    for i, value in enumerate(values):
        if wrong := check_value(value):
            complaints.append(f'values[{i}][{key}]: Invalid value: "{value}": {wrong}')
    if complaints:
        raise ValueError(complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]")
    return Requirement(key, operator, tuple(sorted(set(values))))


def _count_complaint(operator: str, values: tuple[str, ...]) -> str:
    match operator:
        case "in" | "notin" if not values:
            return "for 'in', 'notin' operators, values set can't be empty"
        case "exists" | "!" if values:
            return "values set must be empty for exists and does not exist"
        case "gt" | "lt" if len(values) != 1:
            return "for 'Gt', 'Lt' operators, exactly one value is required"
    return ""


def _listed(values: tuple[str, ...]) -> str:
    return "[" + ",".join(f'"{v}"' for v in values) + "]"


class _Parser:
    """Recursive descent over the tokens of a label selector, one token ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [m.group(1) for m in _TOKEN.finditer(text)]
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self._peek():
            if not (_is_word(self._peek()) or self._peek() == "!"):
                raise ValueError(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as e:
                raise ValueError(f"unable to parse requirement: {e}") from None
            end = self._take()
            if not end:
                break
            if end != ",":
                raise ValueError(f"found '{end}', expected: ',' or 'end of string'")
            if not (_is_word(self._peek()) or self._peek() == "!"):
                raise ValueError(f"found '{self._peek()}', expected: identifier after ','")
        return found

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _requirement(self) -> Requirement:
        key = self._take()
        absent = key == "!"
        if absent:
            key = self._take()
        if not _is_word(key):
            raise ValueError(f"found '{key}', expected: identifier")
        if wrong := check_key(key):
            raise ValueError(f'<nil>: Invalid value: "{key}": {wrong}')
        if absent or self._peek() in ("", ","):
            return Requirement(key, "!" if absent else "exists")
        token = self._take()
        operator = _SYMBOLS.get(token)
        if operator is None:
            raise ValueError(f"found '{token}', expected: {_EXPECTED_OPERATOR}")
        values = self._set() if operator in ("in", "notin") else (self._exact(),)
        return _checked(key, operator, values)

    def _exact(self) -> str:
        if self._peek() in ("", ","):
            return ""
        token = self._take()
        if not _is_word(token):
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _set(self) -> tuple[str, ...]:
        if (token := self._take()) != "(":
            raise ValueError(f"found '{token}' expected: '('")
        values = [self._member()]
        while (end := self._take()) == ",":
            values.append(self._member())
        if end != ")":
            raise ValueError(f"found '{end}', expected: ',' or ')'")
        return tuple(values)

    def _member(self) -> str:
        """A value of a set; it may be empty, as in `(,a)`."""
        if self._peek() in (",", ")"):
            return ""
        token = self._take()
        if not _is_word(token):
            raise ValueError(f"found '{token}', expected: ',', ')' or identifier")
        return token


def _is_word(token: str) -> bool:
    return bool(token) and token[0] not in "=!,()<>"


# --- field selectors -----------------------------------------------------------------------------------------------


class FieldTerm(NamedTuple):
    """One term of a field selector; `operator` is `=` or `!=`."""

    path: str
    operator: str
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.path}{self.operator}{escaped}"


class FieldSelector:
    """Terms that must all hold. Which paths exist is for the server to decide, by `terms`."""

    __slots__ = ("terms",)

    def __init__(self, terms: Iterable[FieldTerm] = ()) -> None:
        self.terms = tuple(terms)

    @property
    def empty(self) -> bool:
        return not self.terms

    def matches(self, get: Callable[[str], str]) -> bool:
        """Whether an object is picked; `get` answers the text at a path, "" where there is none."""
        return all((get(t.path) == t.value) == (t.operator == "=") for t in self.terms)

    def exact(self, path: str) -> str | None:
        """The value that a path must have, if the selector demands one."""
        return next((t.value for t in self.terms if t.path == path and t.operator == "="), None)

    def __str__(self) -> str:
        return ",".join(map(str, self.terms))

    def __repr__(self) -> str:
        return f"FieldSelector({str(self)!r})"


_FIELD_SEPARATOR: Final = re.compile(r"((?:[^\\,]|\\.)*\\?)(?:,|$)", re.DOTALL)
_FIELD_TERM: Final = re.compile(r"(.*?)(!=|==|=)(.*)", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.?)|([,=])", re.DOTALL)


def parse_fields(text: str) -> FieldSelector:
    """The selector of a `fieldSelector` parameter, such as `status.phase!=Running`. Raises ValueError."""
    terms = []
    for part in sorted(p for p in _FIELD_SEPARATOR.findall(text) if p):
        found = _FIELD_TERM.fullmatch(part)
        if found is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        path, operator, value = found.groups()
        terms.append(FieldTerm(path, "!=" if operator == "!=" else "=", _unescape(value)))
    return FieldSelector(terms)


def _unescape(value: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        escaped, bare = found.group(1), found.group(2)
        if bare:
            raise ValueError(f"invalid field selector: unescaped character in value: {bare}")
        if escaped not in ("\\", ",", "="):
            raise ValueError(f"invalid field selector: invalid escape sequence: \\{escaped or ''}")
        return escaped

    return _ESCAPE.sub(replaced, value) if "\\" in value or "," in value or "=" in value else value
