"""The examples in the documentation and the README are executed, a page a test.

In a fenced block of the language ``python`` the whole block is run; in one of ``pycon`` what follows
the prompts, and what it prints is compared, as :mod:`doctest` does it. All blocks of a page share one
namespace. Code that awaits is run in an event loop, which is the page's too. A ``console``
block is not run, for it needs a shell and a machine to itself; but each command in it must be one
that exists, with options that exist. Other blocks are no examples.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import re
import shlex
import smtplib
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aiosmtpd.arguments import Defaults, make_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[a-z]+)\n(?P<text>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
EXECUTED = ("python", "pycon")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block; ``line`` is the number of its first line in the page, counted from 0."""

    language: str
    text: str
    line: int


def blocks_of(page: str) -> Iterator[Block]:
    for match in FENCE.finditer(page):
        text = match["text"]
        if match["indent"]:
            text = re.sub(f"^{match['indent']}", "", text, flags=re.MULTILINE)
        yield Block(match["language"], text, page.count("\n", 0, match.start("text")))


class PageRunner:
    """Runs the blocks of one page, one after the other."""

    def __init__(self, name: str, loop: asyncio.Runner) -> None:
        self.name = name
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.loop = loop

    def run(self, block: Block) -> list[str]:
        """Run a block; give what went wrong."""
        if block.language == "python":
            _, error = self.execute(block.text, block.line, "exec")
            return [] if error is None else ["".join(traceback.format_exception(error))]
        examples = doctest.DocTestParser().get_examples(block.text)
        return list(filter(None, (self.check(example, block.line) for example in examples)))

    def check(self, example: doctest.Example, first_line: int) -> str:
        """Run what follows a prompt; give the difference to what it should have printed."""
        line = first_line + example.lineno
        printed, error = self.execute(example.source, line, "single")
        if error is not None:
            if example.exc_msg is None:
                return "".join(traceback.format_exception(error))
            printed = "".join(traceback.format_exception_only(error))
            example.want = example.exc_msg
        checker = doctest.OutputChecker()
        if checker.check_output(example.want, printed, OPTIONS):
            return ""
        difference = checker.output_difference(example, printed, OPTIONS)
        return f"{self.name}:{line + 1}: {example.source}{difference}"

    def execute(self, source: str, line: int, mode: str) -> tuple[str, Exception | None]:
        """Run code that may await; give what it printed, and its exception."""
        printed = io.StringIO()
        try:
            code = compile(
                "\n" * line + source, self.name, mode, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            )
            with contextlib.redirect_stdout(printed):
                if code.co_flags & inspect.CO_COROUTINE:
                    self.loop.run(eval(code, self.namespace))
                else:
                    exec(code, self.namespace)  # what a page shows is what runs here
        except Exception as error:
            return printed.getvalue(), error
        return printed.getvalue(), None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_do_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with asyncio.Runner() as loop:
        runner = PageRunner(str(page.relative_to(ROOT)), loop)
        faults = [
            fault
            for block in blocks_of(page.read_text(encoding="utf-8"))
            if block.language in EXECUTED
            for fault in runner.run(block)
        ]
    assert not faults, "\n".join(faults)


def _commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            if block.language == "console":
                text = block.text.replace("\\\n", " ")
                for line in re.findall(r"^[$#] (.*)$", text, re.MULTILINE):
                    yield str(page.relative_to(ROOT)), line


COMMANDS = sorted(set(_commands()))


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_shown_commands_exist(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    while words and "=" in words[0] and not words[0].startswith("-"):
        words.pop(0)  # a variable of the environment
    if words[:3] == ["python", "-m", "aiosmtpd"]:
        words = ["aiosmtpd", *words[3:]]
    if words[0] == "aiosmtpd" and "--help" not in words and "--version" not in words:
        make_parser(Defaults()).parse_args([word for word in words[1:] if word != "&"])
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{re.escape(words[1])}:", makefile, re.MULTILINE), words[1]
    elif words[0] == "python" and words[1].startswith("examples/"):
        assert (ROOT / words[1]).is_file(), words[1]


def test_command_line_page_has_every_option() -> None:
    page = (ROOT / "docs" / "guide" / "command-line.md").read_text(encoding="utf-8")
    for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", make_parser(Defaults()).format_help()):
        assert f"`{option}" in page, option


def test_every_language_is_known() -> None:
    """A block with a misspelt language would silently not be run."""
    known = {*EXECUTED, "console", "text", "toml", "ini", "abnf"}
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            assert block.language in known, f"{page.name}:{block.line}: {block.language}"


def test_readme_programs(tmp_path: Path) -> None:
    """The two programs of the README are not only read: the server serves, and the test passes."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    server, test = (block.text for block in blocks_of(text) if block.language == "python")
    (tmp_path / "program.py").write_text(server, encoding="utf-8")
    (tmp_path / "test_program.py").write_text(test, encoding="utf-8")
    started = "import asyncio, program; asyncio.run(program.main(0))"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-u", "-c", started],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().removeprefix("listening on port "))
            with smtplib.SMTP("localhost", port) as client:
                client.sendmail("anne@example.com", "bart@example.com", "Subject: hi\n\nHello")
            assert "anne@example.com to ['bart@example.com']" in process.stdout.readline()
        finally:
            process.kill()
    passed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in passed.stdout, passed.stdout


def test_runner_finds_a_wrong_example() -> None:
    """The collector itself: a failing example must fail."""
    page = "```pycon\n>>> 1 + 1\n3\n```\n\n```python\nraise ValueError('seen')\n```\n"
    with asyncio.Runner() as loop:
        runner = PageRunner("page", loop)
        wrong, raised = (runner.run(block) for block in blocks_of(page))
    assert "page:2" in wrong[0]
    assert "ValueError: seen" in raised[0]
