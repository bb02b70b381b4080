"""The syntax tree of a CEL expression, and the parser that builds it (precedence climbing)."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from fairlead.machinery.cel import lexer
from fairlead.machinery.cel.values import CelError

_DEPTH: Final = 100
_LARGEST_INT: Final = 2**63 - 1
_RELATIONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">=", "in"))
_PRECEDENCE: Final = {"||": 1, "&&": 2, **dict.fromkeys(_RELATIONS, 3), "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}
_RESERVED: Final = frozenset((
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
))  # fmt: skip
_ESCAPED: Final = re.compile(r"__(underscores|dot|dash|slash)__")
_ESCAPES: Final = {"underscores": "__", "dot": ".", "dash": "-", "slash": "/"}
_KEYWORD: Final = re.compile(r"__(true|false|null|in|" + "|".join(sorted(_RESERVED)) + r")__")


class Literal(NamedTuple):
    value: Any


class Name(NamedTuple):
    name: str


class Select(NamedTuple):
    """`operand.field`, or with `optional` `operand.?field`."""

    operand: Node
    field: str
    optional: bool = False


class Index(NamedTuple):
    """`operand[key]`, or with `optional` `operand[?key]`."""

    operand: Node
    key: Node
    optional: bool = False


class Call(NamedTuple):
    """`function(arguments)`, or `target.function(arguments)`."""

    target: Node | None
    function: str
    arguments: tuple[Node, ...]


class Operation(NamedTuple):
    """An operator with its operands: one (`!`, `neg`), two, three (`?:`), or any number (`&&`, `||`)."""

    operator: str
    operands: tuple[Node, ...]


class Items(NamedTuple):
    """A list; `optional` are the places of `?element`s, which are left out where they are missing."""

    items: tuple[Node, ...]
    optional: frozenset[int] = frozenset()


class Entries(NamedTuple):
    """A map; `optional` are the places of `?key: value` entries."""

    entries: tuple[tuple[Node, Node], ...]
    optional: frozenset[int] = frozenset()


Node = Literal | Name | Select | Index | Call | Operation | Items | Entries


def parse(source: str) -> Node:
    """The tree of an expression. Raises CelError."""
    parser = _Parser(source)
    try:
        node = parser.expression()
    except RecursionError:
        raise CelError("Syntax error: the expression is nested too deeply") from None
    parser.expect("end")
    return node


def unescaped(field: str) -> str:
    """A property's real name: rules write `__dash__`, `__dot__`, `__namespace__` … where CEL has no way to say it."""
    if "__" not in field:
        return field
    if found := _KEYWORD.fullmatch(field):
        return found.group(1)
    return _ESCAPED.sub(lambda m: _ESCAPES[m.group(1)], field)


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = lexer.tokens(source)
        self._at = 0
        self._depth = 0

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEPTH:
            raise CelError("Syntax error: the expression is nested too deeply")
        node = self._binary(1)
        if self._accept("?"):
            then = self._binary(1)
            self.expect(":")
            node = Operation("?:", (node, then, self.expression()))
        self._depth -= 1
        return node

    def expect(self, kind: str) -> lexer.Token:
        token = self._tokens[self._at]
        if token.kind != kind:
            wanted = "the end" if kind == "end" else f"'{kind}'"
            raise CelError(f"Syntax error: expected {wanted}, found '{token.value}' (position {token.at})")
        self._at += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._at].kind

    def _accept(self, kind: str) -> bool:
        if self._peek() != kind:
            return False
        self._at += 1
        return True

    def _binary(self, lowest: int) -> Node:
        left = self._unary()
        while (level := _PRECEDENCE.get(self._peek(), 0)) >= lowest:
            operator = self._tokens[self._at].kind
            self._at += 1
            right = self._binary(level + 1)
            if operator in ("&&", "||") and isinstance(left, Operation) and left.operator == operator:
                left = Operation(operator, (*left.operands, right))
            else:
                left = Operation(operator, (left, right))
        return left

    def _unary(self) -> Node:
        sign = self._peek()
        if sign not in ("!", "-"):
            return self._member()
        count = 0
        while self._accept(sign):
            count += 1
        following = self._tokens[self._at]
        if sign == "-" and type(following.value) in (int, float) and following.kind == "literal" and count == 1:
            self._tokens[self._at] = following._replace(value=-following.value)
            return self._member()
        operand = self._unary()
        return Operation("!" if sign == "!" else "neg", (operand,)) if count % 2 else operand

    def _member(self) -> Node:
        node = self._primary()
        while True:
            match self._peek():
                case "." | ".?":
                    node = self._selected(node)
                case "[" | "[?":
                    optional = self._tokens[self._at].kind == "[?"
                    self._at += 1
                    key = self.expression()
                    self.expect("]")
                    node = Index(node, key, optional)
                case _:
                    return node

    def _selected(self, node: Node) -> Node:
        optional = self._tokens[self._at].kind == ".?"
        self._at += 1
        if self._peek() == "quoted":
            return Select(node, self.expect("quoted").value, optional)
        name = self.expect("name").value
        if not optional and self._accept("("):
            return Call(node, name, self._arguments(")"))
        return Select(node, unescaped(name), optional)

    def _primary(self) -> Node:
        token = self._tokens[self._at]
        self._at += 1
        match token.kind:
            case "literal":
                if type(token.value) is int and not -_LARGEST_INT - 1 <= token.value <= _LARGEST_INT:
                    raise CelError(f"Syntax error: invalid int literal {token.value}")
                return Literal(token.value)
            case "name":
                return self._named(token)
            case ".":
                return self._named(self.expect("name"))
            case "(":
                node = self.expression()
                self.expect(")")
                return node
            case "[":
                return self._items()
            case "{":
                return self._entries()
        raise CelError(f"Syntax error: unexpected '{token.value}' (position {token.at})")

    def _named(self, token: lexer.Token) -> Node:
        if token.value in _RESERVED:
            raise CelError(f"Syntax error: reserved identifier: {token.value} (position {token.at})")
        if self._accept("("):
            return Call(None, token.value, self._arguments(")"))
        return Name(token.value)

    def _arguments(self, end: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._accept(end):
            found.append(self.expression())
            if not self._accept(","):
                self.expect(end)
                break
        return tuple(found)

    def _items(self) -> Node:
        found: list[Node] = []
        optional: set[int] = set()
        while not self._accept("]"):
            if self._accept("?"):
                optional.add(len(found))
            found.append(self.expression())
            if not self._accept(","):
                self.expect("]")
                break
        return Items(tuple(found), frozenset(optional))

    def _entries(self) -> Node:
        found: list[tuple[Node, Node]] = []
        optional: set[int] = set()
        while not self._accept("}"):
            if self._accept("?"):
                optional.add(len(found))
            key = self.expression()
            self.expect(":")
            found.append((key, self.expression()))
            if not self._accept(","):
                self.expect("}")
                break
        return Entries(tuple(found), frozenset(optional))
