"""Scripts are read and compared as their notation says."""

from __future__ import annotations

import pytest

from aiosmtpd.testing.script import Step, compare, matches, parse_script


def test_a_script_becomes_steps() -> None:
    script = """
        # The client pipelines two commands.
        S: 220 mx ready
        C: EHLO me
        C: NOOP

        S: 250-mx
        S: 250 HELP
        S: 250 OK
        C:
        C:   indented
        [eof]
        S: 221 Bye
        [closed]
        [lost]
    """
    assert parse_script(script) == [
        Step("S", 3, ("220 mx ready",)),
        Step("C", 4, ("EHLO me", "NOOP")),
        Step("S", 7, ("250-mx", "250 HELP")),
        Step("S", 9, ("250 OK",)),
        Step("C", 10, ("", "  indented")),
        Step("eof", 12),
        Step("S", 13, ("221 Bye",)),
        Step("closed", 14),
        Step("lost", 15),
    ]


@pytest.mark.parametrize("dots", ["S: 250-mx\nS: ...\nS: 250 HELP", "S: ...\nS: 250 HELP"])
def test_dots_in_the_middle_do_not_end_a_reply(dots: str) -> None:
    assert len(parse_script(dots)) == 1


def test_spaces_at_the_end_are_sent() -> None:
    assert parse_script("C: NOOP  ") == [Step("C", 1, ("NOOP  ",))]


@pytest.mark.parametrize(
    "line", ["NOOP", "c: NOOP", "C:NOOP", "S 250 OK", "[open]", "[eof] now", "C : NOOP"]
)
def test_what_is_no_notation_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 2 of the script: .*'" + line.replace("[", r"\[")):
        parse_script(f"C: HELO me\n  {line}")


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("250 OK", "250 OK", True),
        ("250 OK", "250 OK ", False),
        ("250 OK", "250 ok", False),
        ("220 ...", "220 mx Python SMTP", True),
        ("220 ... SMTP ...", "220 mx Python SMTP 2", True),
        ("220 ... SMTP ...", "220 mx ready", False),
        ("250...", "250-anything", True),
        ("...OK", "250 OK", True),
        ("250 a.c", "250 abc", False),
        ("250 ..", "250 OK", False),
    ],
)
def test_three_dots_stand_for_any_text(pattern: str, line: str, expected: bool) -> None:
    assert matches(pattern, line) is expected


@pytest.mark.parametrize(
    ("patterns", "lines"),
    [
        (["250 OK"], ["250 OK"]),
        (["250-mx", "...", "250 HELP"], ["250-mx", "250 HELP"]),
        (["250-mx", "...", "250 HELP"], ["250-mx", "250-SIZE 1", "250-AUTH", "250 HELP"]),
        (["250-mx", "..."], ["250-mx", "250-SIZE 1", "250 HELP"]),
        (["..."], ["250-mx", "250 HELP"]),
        (["...", "250-AUTH ...", "..."], ["250-mx", "250-AUTH PLAIN", "250 HELP"]),
    ],
)
def test_what_agrees(patterns: list[str], lines: list[str]) -> None:
    assert compare(patterns, lines) is None


@pytest.mark.parametrize(
    ("patterns", "lines", "difference"),
    [
        (["250 OK"], ["550 No"], ["- S: 250 OK", "+ S: 550 No"]),
        (
            ["250-...", "250-SIZE ...", "250 HELP"],
            ["250-mx", "250-PIPELINING", "250 HELP"],
            ["  S: 250-mx", "- S: 250-SIZE ...", "+ S: 250-PIPELINING", "  S: 250 HELP"],
        ),
        (
            ["250-mx", "...", "250-AUTH ...", "250 HELP"],
            ["250-mx", "250 HELP"],
            ["  S: 250-mx", "- S: ...", "- S: 250-AUTH ...", "  S: 250 HELP"],
        ),
        (["250 mx"], ["250-mx", "250 HELP"], ["- S: 250 mx", "+ S: 250-mx", "+ S: 250 HELP"]),
    ],
)
def test_what_differs_is_shown(
    patterns: list[str], lines: list[str], difference: list[str]
) -> None:
    shown = compare(patterns, lines)
    assert shown is not None
    assert [line for line in shown if not line.startswith("?")] == difference
