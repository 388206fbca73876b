"""The page about the changelog of 1.x names tests; each of them exists, and each entry names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "changelog-of-1x.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "Shown by" not in line]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_test_exists(path: str, name: str) -> None:
    assert name in names_in(ROOT / path)


@pytest.mark.parametrize("row", ROWS)
def test_every_entry_names_a_place_and_a_test(row: str) -> None:
    _, entry, where, shown, _ = re.split(r"(?<!\\)\|", row)
    assert entry.strip()
    assert re.search(r"`tests/[\w/]+\.py::\w+`", shown), entry
    for module in re.findall(r"`([\w/]+\.py)`", where):
        candidates = [ROOT / module, ROOT / "src" / "aiosmtpd" / module]
        assert any(candidate.is_file() for candidate in candidates), module


def test_every_version_of_the_changelog_has_its_section() -> None:
    for version in ("1.2", "1.1", "1.0", "1.0rc1", "1.0b1", "1.0a5", "1.0a4", "1.0a3", "1.0a2"):
        assert version in PAGE
    assert len(ROWS) > 40
