"""The syntax of names, labels and annotations, with upstream's complaints about what breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

LABEL_FORM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_FORM = LABEL_FORM + r"(\." + LABEL_FORM + ")*"
DNS1035_FORM = "[a-z]([-a-z0-9]*[a-z0-9])?"
QUALIFIED_FORM = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
VALUE_FORM = f"({QUALIFIED_FORM})?"

_LABEL = re.compile(LABEL_FORM)
_SUBDOMAIN = re.compile(SUBDOMAIN_FORM)
_DNS1035 = re.compile(DNS1035_FORM)
_QUALIFIED = re.compile(QUALIFIED_FORM)
_VALUE = re.compile(VALUE_FORM)

_ENDS = "start and end with an alphanumeric character"
_LABEL_SAYS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    f"{_ENDS} (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL_FORM}')"
)
_SUBDOMAIN_SAYS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    f"{_ENDS} (e.g. 'example.com', regex used for validation is '{SUBDOMAIN_FORM}')"
)
_DNS1035_SAYS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    f"regex used for validation is '{DNS1035_FORM}')"
)
_QUALIFIED_SAYS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must "
    f"{_ENDS} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED_FORM}')"
)
_VALUE_SAYS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    f"{_ENDS} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{VALUE_FORM}')"
)

Complaints = tuple[str, ...]
NameRule = Callable[[str], Complaints]


def longest(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _checked(text: str, form: re.Pattern[str], limit: int, says: str) -> Complaints:
    long = (longest(limit),) if len(text) > limit else ()
    return long if form.fullmatch(text) else (*long, says)


@lru_cache(maxsize=8192)
def subdomain(text: str) -> Complaints:
    """RFC 1123 subdomain: what most names are."""
    long = ("must be no more than 253 characters",) if len(text) > 253 else ()
    return long if _SUBDOMAIN.fullmatch(text) else (*long, _SUBDOMAIN_SAYS)


@lru_cache(maxsize=2048)
def label(text: str) -> Complaints:
    """RFC 1123 label: Namespaces, containers, volumes, host names."""
    dots = "." in text and _SUBDOMAIN.fullmatch(text)
    return _checked(text, _LABEL, 63, "must not contain dots" if dots else _LABEL_SAYS)


@lru_cache(maxsize=2048)
def dns1035(text: str) -> Complaints:
    """RFC 1035 label: Services, JobSets, TrainJobs."""
    return _checked(text, _DNS1035, 63, _DNS1035_SAYS)


def segment(text: str) -> Complaints:
    """What can be one part of a URL's path: Events, RBAC names."""
    if text in {".", ".."}:
        return (f"may not be '{text}'",)
    return tuple(f"may not contain '{sign}'" for sign in "/%" if sign in text)


@lru_cache(maxsize=8192)
def qualified(text: str) -> Complaints:
    """A key of labels, annotations, conditions, resources: an optional DNS prefix and a name."""
    prefix, slash, name = text.rpartition("/")
    found: list[str] = []
    if slash and "/" in prefix:
        return (
            f"a valid label key {_QUALIFIED_SAYS[:-1]}) with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')",
        )
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        found += [f"prefix part {c}" for c in subdomain(prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append(f"name part {longest(63)}")
    if not _QUALIFIED.fullmatch(name):
        found.append(f"name part {_QUALIFIED_SAYS}")
    return tuple(found)


@lru_cache(maxsize=8192)
def label_value(text: str) -> Complaints:
    long = (longest(63),) if len(text) > 63 else ()
    return long if _VALUE.fullmatch(text) else (*long, _VALUE_SAYS)
