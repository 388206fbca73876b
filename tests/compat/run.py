"""Run the test suite of aiosmtpd 1.4.6 against this package.

The suite comes from the wheel on the package index. It is unpacked into ``build/compat``, and of that
wheel nothing but its tests and the two modules they share: ``aiosmtpd.__path__`` and
``aiosmtpd.testing.__path__`` are extended, so that every other name is found in ``src``. What may
fail is listed in ``expected_failures.toml`` with the row of the migration guide that says why. The run
fails if any other test does, if one of those passes, and if there are not 557 of them.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

__all__ = ["judge", "main"]

TOTAL = 557
PORT = 8025
WHEEL = "aiosmtpd-1.4.6-py3-none-any.whl"
# Pinned, so that "the tests of 1.4.6" is one thing for ever.
REQUIREMENT = (
    "aiosmtpd==1.4.6 "
    "--hash=sha256:72c99179ba5aa9ae0abbda6994668239b64a5ce054471955fe75f581d2592475\n"
)
UNPACKED = ("aiosmtpd/tests/", "aiosmtpd/testing/helpers.py", "aiosmtpd/testing/statuscodes.py")

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MIGRATION_GUIDE = ROOT / "docs" / "migration.md"
BUILD = ROOT / "build" / "compat"
SUITE = BUILD / "suite" / "aiosmtpd"
# pytest takes the directory above the topmost __init__.py for the root of the package; it never runs
# this file, because the real package has been imported before.
MARKER = 'raise ImportError("this only marks the root of the package that the tests are in")\n'
# The tests share port 8025 and the names of files: they run one after the other, in one process.
PYTEST_INI = """[pytest]
addopts = -q --tb=line --show-capture=no --disable-warnings --timeout=60 --timeout-method=signal
    --continue-on-collection-errors -p no:cacheprovider -p no:xdist -p no:hypothesispytest
"""


def fetch() -> None:
    """Download the wheel, unless it is there, and unpack the tests out of it."""
    if not (BUILD / WHEEL).exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        requirements = BUILD / "requirements.txt"
        requirements.write_text(REQUIREMENT)
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        pip = [sys.executable, "-m", "pip", "download", *options, "--dest", str(BUILD)]
        subprocess.run([*pip, "--requirement", str(requirements)], check=True)
    with zipfile.ZipFile(BUILD / WHEEL) as wheel:
        wheel.extractall(
            SUITE.parent, [name for name in wheel.namelist() if name.startswith(UNPACKED)]
        )
    (SUITE / "__init__.py").write_text(MARKER)
    (SUITE / "pytest.ini").write_text(PYTEST_INI)  # or the project's own would hold here


def graft() -> None:
    """Let the package find the tests, and only them, beside its own modules.

    Raises:
        SystemExit: the package that is imported is not the one of this tree.
    """
    # The programs that some tests start find the package as this process does.
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    sys.path.insert(0, str(ROOT / "src"))
    import aiosmtpd
    import aiosmtpd.testing

    if not Path(aiosmtpd.__file__).is_relative_to(ROOT / "src"):
        raise SystemExit(f"compat: {aiosmtpd.__file__} is not the package of this tree")
    aiosmtpd.__path__.append(str(SUITE))
    aiosmtpd.testing.__path__.append(str(SUITE / "testing"))


def check_port() -> None:
    """Make sure that the port is free which the tests have.

    Raises:
        SystemExit: somebody else listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError as error:
            raise SystemExit(f"compat: port {PORT}, which the tests use, is taken") from error


class Outcomes:
    """A pytest plugin that notes the worst outcome of each test.

    Args:
        expected: the tests that may fail; pytest is not to make a noise about these.
    """

    def __init__(self, expected: Mapping[str, str]) -> None:
        self.expected = expected
        self.by_test: dict[str, str] = {}
        self.uncollected: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that could not even be read."""
        if report.failed:
            self.uncollected.append(report.nodeid)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what is expected to fail."""
        for item in items:
            row = self.expected.get(name_of(item.nodeid))
            if row is not None:
                item.add_marker(pytest.mark.xfail(reason=row))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test's outcome; what failed in setup or teardown failed."""
        name = name_of(report.nodeid)
        outcome: str = report.outcome
        if outcome == "skipped" and hasattr(report, "wasxfail"):
            outcome = "failed"
        if self.by_test.get(name, "passed") == "passed":
            self.by_test[name] = outcome


def name_of(node: str) -> str:
    """Give a test's name in the list of expected failures."""
    return node.removeprefix("tests/")


def read_expected(path: Path) -> dict[str, str]:
    """Read the list of expected failures: test id to row of the migration guide.

    Raises:
        ValueError: a test is listed twice, or a group gives no row that there is.
    """
    guide = MIGRATION_GUIDE.read_text(encoding="utf-8")
    expected: dict[str, str] = {}
    for group in tomllib.loads(path.read_text(encoding="utf-8")).get("group", []):
        if not group.get("row") or not group.get("tests"):
            raise ValueError(f"{path.name}: a group needs a row and tests: {group}")
        if f"[{group['row']}]{{#" not in guide:
            raise ValueError(f"{path.name}: {MIGRATION_GUIDE.name} has no row {group['row']}")
        for test in group["tests"]:
            if test in expected:
                raise ValueError(f"{path.name}: {test} is listed twice")
            expected[test] = group["row"]
    return expected


def judge(outcomes: Mapping[str, str], expected: Mapping[str, str], total: int) -> list[str]:
    """Compare what happened with what should have: one line for each thing that is wrong."""
    failed = {test for test, outcome in outcomes.items() if outcome == "failed"}
    faults = [f"failed, and nothing explains it: {test}" for test in sorted(failed - set(expected))]
    for test, row in expected.items():
        if test not in outcomes:
            faults.append(f"listed, but there is no such test: {test}")
        elif test not in failed:
            faults.append(f"{outcomes[test]}, though {row} says that it fails: {test}")
    if len(outcomes) != total:
        faults.append(f"{len(outcomes)} tests ran, not {total}")
    return faults


def count(outcomes: Iterable[str]) -> str:
    """Give the closing line."""
    seen = list(outcomes)
    line = f"{seen.count('passed')} passed, {seen.count('failed')} failed"
    return f"{line}, {seen.count('skipped')} skipped" if "skipped" in seen else line


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; give 0 if every test did as it should."""
    parser = argparse.ArgumentParser(description="Run the tests of aiosmtpd 1.4.6 on this package.")
    parser.add_argument("--expected", type=Path, default=HERE / "expected_failures.toml")
    parser.add_argument("pytest", nargs="*", help="options for pytest, and tests to run, after --")
    options = parser.parse_args(arguments)
    expected = read_expected(options.expected)
    fetch()
    graft()
    check_port()
    chosen = [argument for argument in options.pytest if not argument.startswith("-")]
    outcomes = Outcomes({} if chosen else expected)  # who chooses tests wants to see them fail
    status = pytest.main(
        ["-c", str(SUITE / "pytest.ini"), f"--rootdir={SUITE}", f"--confcutdir={SUITE / 'tests'}"]
        + [argument for argument in options.pytest if argument.startswith("-")]
        + [str(SUITE / "tests" / test) for test in chosen or [""]],
        plugins=[outcomes],
    )
    faults = [f"could not be read: {name}" for name in outcomes.uncollected]
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        faults.append(f"pytest ended with {pytest.ExitCode(status).name}")
    if chosen:
        print(count(outcomes.by_test.values()))
        return 1 if faults else int(status)
    faults += judge(outcomes.by_test, expected, TOTAL)
    for fault in faults:
        print("compat:", fault)
    explained = sum(outcomes.by_test.get(test) == "failed" for test in expected)
    print(f"compat: {explained} tests fail for a reason that the migration guide gives")
    print(count(outcomes.by_test.values()))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
