"""Pages that name tests in tables: which tests a text names, and whether each of them is there.

A test is named by its file and its function, ```tests/unit/test_x.py::test_y```. The functions are read
off the source, so nothing is imported or run.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "cells_of", "functions_of", "named_tests", "page"]

ROOT = Path(__file__).parents[2]

_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_BORDER = re.compile(r"(?<!\\)\|")


def page(name: str) -> str:
    """Give the text of a page of the documentation."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def named_tests(text: str) -> list[tuple[str, str]]:
    """Give the tests that a text names, each once, as pairs of a file and a function."""
    return sorted(set(_NAMED.findall(text)))


def cells_of(row: str) -> list[str]:
    """Split a row of a table into its cells."""
    _, *cells, _ = _BORDER.split(row)
    return [cell.strip() for cell in cells]


@cache
def functions_of(file: str) -> frozenset[str]:
    """Give the names of all functions of a file, whose path is that from the root of the tree."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
