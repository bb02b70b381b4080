"""The words of a CEL expression."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from fairlead.machinery.cel.values import CelError, UInt

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<text>[rRbB]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
  | (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
  | (?P<symbol>&&|\|\||==|!=|<=|>=|\.\?|\[\?|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.|$))",
    re.DOTALL,
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class Token(NamedTuple):
    """A word: `kind` is `literal`, `name`, `quoted`, `end`, or the symbol itself (and `in`)."""

    kind: str
    value: Any
    at: int


def tokens(source: str) -> list[Token]:
    """The words of a text, ending with an `end`. Raises CelError."""
    found: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise CelError(f"Syntax error: token recognition error at: '{source[at]}' (position {at})")
        kind, word = match.lastgroup, match.group()
        if kind != "space":
            found.append(_token(kind or "", word, at))
        at = match.end()
    found.append(Token("end", "<EOF>", at))
    return found


def _token(kind: str, word: str, at: int) -> Token:
    match kind:
        case "text":
            return Token("literal", _text(word), at)
        case "float":
            return Token("literal", float(word), at)
        case "int":
            number = int(word.rstrip("uU"), 16 if word[:2] in ("0x", "0X") else 10)
            return Token("literal", UInt(number) if word[-1] in "uU" else number, at)
        case "quoted":
            return Token("quoted", word[1:-1], at)
        case "name" if word in _CONSTANTS:
            return Token("literal", _CONSTANTS[word], at)
        case "name" if word != "in":
            return Token("name", word, at)
    return Token(word, word, at)


def _text(word: str) -> str | bytes:
    start = min(word.index(q) for q in "\"'" if q in word)
    prefix = word[:start].lower()
    body = word[start:]
    width = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
    body = body[width:-width]
    if "r" not in prefix:
        body = _ESCAPE.sub(_unescaped, body)
    return body.encode() if "b" in prefix else body


def _unescaped(found: re.Match[str]) -> str:
    simple, hexadecimal, short, long, octal, other = found.groups()
    if simple:
        return _SIMPLE.get(simple, simple)
    if octal:
        return chr(int(octal, 8))
    if code := hexadecimal or short or long:
        if int(code, 16) > 0x10FFFF:
            raise CelError(f"Syntax error: invalid unicode code point \\U{code}")
        return chr(int(code, 16))
    raise CelError(f"Syntax error: unable to unescape string: \\{other}")
