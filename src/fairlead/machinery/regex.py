"""Regular expressions as Go's RE2 reads them, run by `re`.

Patterns in schemas and rules are RE2. What RE2 has and `re` spells otherwise is translated; what only `re` has (look
around, back references) is refused, so that a pattern which works here works upstream. RE2's linear time is not had:
patterns come from whoever may create CustomResourceDefinitions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_CLASSES: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_PART: Final = re.compile(
    r"\\Q.*?(?:\\E|$)|\\x\{[0-9A-Fa-f]{1,6}\}|\\[pP](?:\{\^?\w+\}|\w)|\\.|\[:\^?\w+:\]"
    r"|\(\?(?:P?<[=!]?|P=|P>|[=!>(#]|[a-zA-Z]*(?:-[a-zA-Z]+)?[):])|\[\^?\]?|[]$()|]",
    re.DOTALL,
)
_FLAGS: Final = re.compile(r"\(\?([ims]*)(?:-([ims]+))?([):])")
_UNICODE: Final = {"L": r"[^\W\d_]", "N": r"\d", "Nd": r"\d", "Lu": "[A-ZÀ-ÖØ-Þ]", "Ll": "[a-zß-öø-ÿ]"}


@lru_cache(maxsize=1024)
def compile(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises ValueError for what RE2 does not understand."""
    translation = _Translation(pattern)
    try:
        text = _PART.sub(translation.part, pattern) + translation.scopes[-1].closing
        return re.compile(text, 0 if r"\p" in pattern.lower() else re.ASCII)
    except (re.error, OverflowError) as e:
        raise ValueError(f"error parsing regexp: {e}: `{pattern}`") from None


class _Scope:
    """One group. RE2's flags in the middle (`a(?i)b|c`) hold until the group ends, over its alternatives; those of `re`
    hold in a group of their own, which is opened here for each of them and in each alternative anew."""

    __slots__ = ("multiline", "opened")

    def __init__(self, multiline: bool) -> None:
        self.multiline, self.opened = multiline, ""

    @property
    def closing(self) -> str:
        return ")" * self.opened.count("(")


class _Translation:
    """A pattern on its way, part by part."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._inside = pattern, False
        self.scopes = [_Scope(multiline=False)]

    def part(self, found: re.Match[str]) -> str:
        part = found.group()
        if part[0] == "[" and part[1:2] != ":":
            return self._bracket(part)
        if part == "]":
            self._inside = False
            return part
        if self._inside or part[0] == "\\" or part[0] == "[":
            return _translate(part, self._inside)
        match part:
            case "$":
                return "$" if self.scopes[-1].multiline else r"\Z"
            case "|":
                scope = self.scopes[-1]
                return f"{scope.closing}|{scope.opened}"
            case ")":
                closing = self.scopes.pop().closing if len(self.scopes) > 1 else ""
                return f"{closing})"
        return self._group(part)

    def _bracket(self, part: str) -> str:
        """A set begins; a bracket within one is itself."""
        if self._inside:
            self._inside = not part.endswith("]")
            return "\\" + part
        self._inside = True
        return part

    def _group(self, part: str) -> str:
        scope = self.scopes[-1]
        flags = _FLAGS.fullmatch(part) if part != "(?)" else None
        multiline = scope.multiline
        if flags is not None:
            on, off, end = flags.group(1), flags.group(2) or "", flags.group(3)
            multiline = (multiline or "m" in on) and "m" not in off
            if end == ")":
                scope.multiline = multiline
                opened = part[:-1] + ":"
                scope.opened += opened
                return opened
        elif part in ("(?P<", "(?<"):
            part = "(?P<"
        elif part != "(":
            raise ValueError(f"error parsing regexp: invalid or unsupported Perl syntax: `{part}` in `{self._pattern}`")
        self.scopes.append(_Scope(multiline))
        return part


def _translate(part: str, inside: bool) -> str:
    """An escape, a named class, or what is in a set."""
    if part.startswith("[:"):
        name, negated = part[2:-2].lstrip("^"), part[2] == "^"
        if name not in _CLASSES or negated or not inside:
            raise ValueError(f"error parsing regexp: invalid character class range: `{part}`")
        return _CLASSES[name]
    if part[0] != "\\":
        return part
    match part[1]:
        case "z":
            return r"\Z"
        case "Q":
            return re.escape(part[2:].removesuffix(r"\E"))
        case "x" if part[2:3] == "{":
            return re.escape(chr(int(part[3:-1], 16)))
        case "p" if part[2:].strip("{}") in _UNICODE and not inside:
            return _UNICODE[part[2:].strip("{}")]
        case "C" | "G" | "K" | "Z" | "X" | "R" | "p" | "P":
            raise ValueError(f"error parsing regexp: invalid escape sequence: `{part}`")
        case digit if digit in "123456789":
            raise ValueError(f"error parsing regexp: invalid escape sequence: `{part}`")
    return part
