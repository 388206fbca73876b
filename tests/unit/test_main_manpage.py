"""The manual page says what the parser knows, and is the one that was committed."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from aiosmtpd.arguments import Defaults, make_parser

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make_manpage() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_manpage", DOCS / "make_manpage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_committed_page_is_current(make_manpage: ModuleType) -> None:
    committed = (DOCS / "aiosmtpd.1").read_text(encoding="utf-8")
    assert committed == make_manpage.render(make_parser(Defaults())), "run docs/make_manpage.py"


def test_page_has_every_option_of_the_help(make_manpage: ModuleType) -> None:
    parser = make_parser(Defaults())
    page = make_manpage.render(parser).replace("\\-", "-")
    options = set(re.findall(r"(?<!\S)--?[a-z0-9][a-z0-9-]*", parser.format_help()))
    options.discard("--")
    assert len(options) >= 20
    for option in options:
        assert f"\\fB{option}\\fR" in page


def test_page_has_its_sections_in_order(make_manpage: ModuleType) -> None:
    page = make_manpage.render(make_parser(Defaults()))
    assert re.findall(r"^\.SH (.+)$", page, re.MULTILINE) == [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
    ]


def test_the_wheel_has_the_page_where_man_looks() -> None:
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/aiosmtpd.1": "share/man/man1/aiosmtpd.1"}


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("plain", "plain"),
        ("-n", "\\-n"),
        ("a\\b", "a\\eb"),
        (".start", "\\&.start"),
        ("'start", "\\&'start"),
    ],
)
def test_escaping(make_manpage: ModuleType, text: str, roff: str) -> None:
    assert make_manpage.escape(text) == roff
