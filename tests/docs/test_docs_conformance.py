"""The page about conformance: its tables are whole, and each test that they name exists."""

from __future__ import annotations

import re

import pytest
from tests.docs.naming import cells_of, functions_of, named_tests, page

from aiosmtpd.extensions import BUILT_IN, DEFAULT

PAGE = page("conformance.md")
HEADER = "| Section | Level | What is asked | Here | Shown by |"

# What this package implements, each with a table of its own or together with its like.
RFCS = (
    *("1870", "1985", "2033", "2034", "2195", "2852", "2920", "3030", "3207", "3461", "3463"),
    *("3865", "4422", "4616", "4865", "4954", "5248", "5321", "5802", "5929", "6152", "6531"),
    *("6533", "6710", "7293", "7628", "7677", "8314", "8689", "9266", "9422"),
)
OTHERS = ("draft-hall-prdr-00", "The PROXY protocol", "XCLIENT", "XFORWARD")

LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", ""}
VERDICT = re.compile(r"\*\*(met|met by the application|not met)\*\*(.*)")


def _sections() -> dict[str, list[str]]:
    """The lines below each heading."""
    _, *parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    return {lines[0]: lines[1:] for lines in (part.splitlines() for part in parts)}


SECTIONS = _sections()
ROWS = [
    pytest.param(cells_of(line), id=f"{title.partition(':')[0]} {cells_of(line)[0]}")
    for title, lines in SECTIONS.items()
    for line in lines
    if line.startswith("|") and line != HEADER and not line.startswith("|-")
]


@pytest.mark.parametrize(("path", "name"), named_tests(PAGE))
def test_named_test_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_verdict_and_what_shows_it(row: list[str]) -> None:
    section, level, asked, here, shown = row
    assert section
    assert level in LEVELS
    assert asked
    match = VERDICT.fullmatch(here)
    assert match is not None, here
    verdict, reason = match.groups()
    # What shows it is tests, and nothing else.
    assert re.sub(r"`tests/[\w/]+\.py::test_\w+`(?:, |$)", "", shown) == ""
    if verdict != "not met":
        assert named_tests(shown), asked
    if verdict != "met":
        assert reason.strip(" :,"), asked


@pytest.mark.parametrize("title", SECTIONS)
def test_every_section_has_a_table(title: str) -> None:
    lines = SECTIONS[title]
    assert lines.count(HEADER) == 1
    assert len([line for line in lines if line.startswith("|")]) > 3


def test_every_rfc_has_its_section() -> None:
    titles = " ".join(SECTIONS)
    assert sorted(re.findall(r"RFC (\d+)", titles)) == sorted(RFCS)
    for other in OTHERS:
        assert other in titles


@pytest.mark.parametrize("name", [*(extension.name for extension in DEFAULT), *BUILT_IN])
def test_every_extension_is_told_of(name: str) -> None:
    assert name in PAGE
