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
    r"\\Q.*?(?:\\E|$)|\\x\{[0-9A-Fa-f]{1,6}\}|\\[pP](?:\{\^?\w+\}|\w)|\\.|\[:\^?\w+:\]|\(\?(?:P?<[=!]?|P=|P>|[=!>(#]|[a-zA-Z]*[):-])"
    r"|[\[\]$]",
    re.DOTALL,
)
_UNICODE: Final = {"L": r"[^\W\d_]", "N": r"\d", "Nd": r"\d", "Lu": "[A-ZÀ-ÖØ-Þ]", "Ll": "[a-zß-öø-ÿ]"}


@lru_cache(maxsize=1024)
def compile(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises ValueError for what RE2 does not understand."""
    multiline = re.match(r"\(\?[a-z]*m[a-z]*\)", pattern) is not None
    depth = 0

    def translated(found: re.Match[str]) -> str:
        nonlocal depth
        part = found.group()
        if part == "[":
            depth, opened = 1, not depth
            return "[" if opened else r"\["
        if part == "]":
            depth = 0
            return "]"
        if part == "$":
            return "$" if depth or multiline else r"\Z"
        return _translate(part, pattern, depth > 0)

    try:
        return re.compile(_PART.sub(translated, pattern), 0 if r"\p" in pattern.lower() else re.ASCII)
    except (re.error, OverflowError) as e:
        raise ValueError(f"error parsing regexp: {e}: `{pattern}`") from None


def _translate(part: str, pattern: str, inside: bool) -> str:
    if part.startswith("[:"):
        name, negated = part[2:-2].lstrip("^"), part[2] == "^"
        if name not in _CLASSES or negated or not inside:
            raise ValueError(f"error parsing regexp: invalid character class range: `{part}`")
        return _CLASSES[name]
    if part.startswith("(?"):
        if part in ("(?P<", "(?<"):
            return "(?P<"
        if part[2] in "=!><(#P":
            raise ValueError(f"error parsing regexp: invalid or unsupported Perl syntax: `{part}` in `{pattern}`")
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
