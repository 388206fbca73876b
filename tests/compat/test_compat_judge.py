"""The verdict on the suite of 1.4.6: a failure is explained or it counts, and so is a surprise."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compat.run import HERE, count, judge, read_expected


@pytest.mark.parametrize(
    ("outcomes", "expected", "faults"),
    [
        ({"a": "passed", "b": "failed"}, {"b": "M-01"}, []),
        ({"a": "passed", "b": "skipped"}, {}, []),
        ({"a": "failed", "b": "passed"}, {}, ["failed, and nothing explains it: a"]),
        (
            {"a": "passed", "b": "passed"},
            {"b": "M-01"},
            ["passed, though M-01 says that it fails: b"],
        ),
        (
            {"a": "passed", "b": "skipped"},
            {"b": "M-01"},
            ["skipped, though M-01 says that it fails: b"],
        ),
        ({"a": "passed", "b": "passed"}, {"c": "M-01"}, ["listed, but there is no such test: c"]),
        ({"a": "passed"}, {}, ["1 tests ran, not 2"]),
    ],
)
def test_the_verdict(outcomes: dict[str, str], expected: dict[str, str], faults: list[str]) -> None:
    assert judge(outcomes, expected, total=2) == faults


def test_the_closing_line() -> None:
    assert count(["passed", "failed", "passed"]) == "2 passed, 1 failed"
    assert count(["passed", "skipped"]) == "1 passed, 0 failed, 1 skipped"


def test_every_expected_failure_has_its_row() -> None:
    expected = read_expected(HERE / "expected_failures.toml")
    assert expected
    assert all(row.startswith("M-") for row in expected.values())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[group]]\nrow = "M-01"\ntests = []', "needs a row and tests"),
        ('[[group]]\ntests = ["a"]', "needs a row and tests"),
        ('[[group]]\nrow = "M-00"\ntests = ["a"]', "has no row M-00"),
        ('[[group]]\nrow = "M-01"\ntests = ["a", "a"]', "a is listed twice"),
    ],
)
def test_a_list_that_is_wrong(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=fault):
        read_expected(path)
