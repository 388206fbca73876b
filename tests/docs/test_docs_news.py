"""The page about the changelog of 1.x names tests; each of them exists, and each entry names one."""

from __future__ import annotations

import re

import pytest
from tests.docs.naming import ROOT, cells_of, functions_of, named_tests, page

PAGE = page("changelog-of-1x.md")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "Shown by" not in line]


@pytest.mark.parametrize(("path", "name"), named_tests(PAGE))
def test_named_test_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


@pytest.mark.parametrize("row", ROWS)
def test_every_entry_names_a_place_and_a_test(row: str) -> None:
    entry, where, shown = cells_of(row)
    assert entry
    assert named_tests(shown), entry
    for module in re.findall(r"`([\w/]+\.py)`", where):
        candidates = [ROOT / module, ROOT / "src" / "aiosmtpd" / module]
        assert any(candidate.is_file() for candidate in candidates), module


def test_every_version_of_the_changelog_has_its_section() -> None:
    for version in ("1.2", "1.1", "1.0", "1.0rc1", "1.0b1", "1.0a5", "1.0a4", "1.0a3", "1.0a2"):
        assert version in PAGE
    assert len(ROWS) > 40
