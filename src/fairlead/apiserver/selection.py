"""Selection: the objects that a list, a watch or a deletecollection is about (labelSelector and fieldSelector).

`metadata.name` and `metadata.namespace` are read from the key; labels and other fields from the object's facet
(`fields.reader`), so that nothing is decoded when nothing of the object is asked for. Nor is an object whose bytes do
not even contain what is asked for: it is stored in one spelling (`encoding`), a label as `"key":"value"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.apiserver import encoding, fields
from fairlead.apiserver.catalog import Served
from fairlead.apiserver.state import Api
from fairlead.base import errors
from fairlead.machinery import selector

_OF_KEY = ("metadata.name", "metadata.namespace")
_WORDS = ("true", "false")


class Selection:
    """A predicate on stored objects. `name` is the only name that can match, where the selector says so."""

    def __init__(self, api: Api, served: Served, labels: str = "", fields_: str = "") -> None:
        self._cut = len(served.prefix)
        self._labels = _labels(labels)
        self._fields = _fields(served, fields_)
        inner = tuple(sorted({t.path for t in self._fields.terms} - set(_OF_KEY)))
        reads = bool(inner) or not self._labels.empty
        self._facet = api.facets(served, inner) if reads else None
        self.name = self._fields.exact("metadata.name") or ""
        self._needles = (*_label_needles(self._labels), *_field_needles(self._fields))
        self.everything = self._labels.empty and self._fields.empty

    def matches(self, key: str, value: bytes) -> bool:
        """Whether the object stored as `value` at `key` is selected."""
        if self.everything:
            return True
        for needles in self._needles:
            if needles[0] not in value and not any(n in value for n in needles[1:]):
                return False
        labels, values = self._facet(value) if self._facet is not None else ({}, {})
        if not self._labels.matches(labels):
            return False
        return self._fields.empty or self._fields.matches(lambda path: self._value(path, key, values))

    def _value(self, path: str, key: str, values: Mapping[str, str]) -> str:
        if path not in _OF_KEY:
            return values[path]
        namespace, _, name = key[self._cut :].rpartition("/")
        return name if path == "metadata.name" else namespace


def _label_needles(labels: selector.LabelSelector) -> Iterator[tuple[bytes, ...]]:
    """For each label that must be there: the texts of which an object that has it contains one."""
    for term in labels.requirements:
        match term.operator:
            case "in" | "=" | "==":
                yield tuple(_member(term.key, value) for value in term.values)
            case "exists":
                yield (_member(term.key, ""),)


def _field_needles(fields_: selector.FieldSelector) -> Iterator[tuple[bytes, ...]]:
    """The same for fields that must have a value, wherever it is. Not for one that may be a number or a boolean."""
    for term in fields_.terms:
        if term.path not in _OF_KEY and term.operator != "!=" and term.value[:1].isalpha() and term.value not in _WORDS:
            yield (encoding.encode(term.value),)


def _member(key: str, value: str) -> bytes:
    return encoding.encode({key: value})[1 : -1 if value else -2]


def _labels(text: str) -> selector.LabelSelector:
    if not text:
        return _NO_LABELS
    try:
        return selector.parse_labels(text)
    except ValueError as error:
        raise errors.bad_request(str(error)) from None


def _fields(served: Served, text: str) -> selector.FieldSelector:
    if not text:
        return _NO_FIELDS
    try:
        found = selector.parse_fields(text)
    except ValueError as error:
        raise errors.bad_request(str(error)) from None
    for term in found.terms:
        fields.require(served, term.path)
    return found


_NO_LABELS = selector.LabelSelector()
_NO_FIELDS = selector.FieldSelector()
