"""The size limits that ruff has no rule for: lines of a file and of a function. Ends with 1 when one is broken."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FILE, API_FILE, FUNCTION = 500, 900, 60


def broken(path: Path) -> Iterator[str]:
    """What the file breaks, one line each."""
    text = path.read_text()
    limit = API_FILE if "api" in path.parts else FILE
    lines = text.count("\n")
    if lines > limit:
        yield f"{path}: {lines} lines, at most {limit}: split it by concern"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION:
                yield f"{path}:{node.lineno}: {node.name} has {size} lines, at most {FUNCTION}"


def main() -> int:
    """Check every file of the package."""
    found = [line for path in sorted(Path("src").rglob("*.py")) for line in broken(path)]
    print("\n".join(found) or "sizes: every file and function is within its limits")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
