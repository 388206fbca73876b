"""Programs of others, as the tests run them: in an environment of their own, and never for long."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest

__all__ = [
    "TIMEOUT",
    "Ended",
    "installed",
    "open_directory",
    "run",
    "try_to_run",
    "wait_until",
]

T = TypeVar("T")

# Seconds for a program of others, in case it hangs; the longest takes two on a machine that is idle.
TIMEOUT = 100


@dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
        status: its exit status.
        said: what it wrote, to the standard output and to the standard error.
    """

    status: int
    said: str


def installed(name: str, package: str) -> str:
    """Give the path of a program; skip the test where it is missing."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return path


def try_to_run(
    *command: str | Path, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end, in an environment in which it takes what it is told to be UTF-8.

    Args:
        command: the program and its arguments.
        given: its standard input.
        environment: variables to add to the environment.
    """
    ended = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        timeout=TIMEOUT,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout.decode(errors="replace"))


def run(
    *command: str | Path, given: bytes = b"", environment: Mapping[str, str] | None = None
) -> str:
    """Run a program, which must succeed; give what it wrote."""
    ended = try_to_run(*command, given=given, environment=environment)
    assert ended.status == 0, ended.said[-4000:]
    return ended.said


@contextmanager
def open_directory(name: str) -> Iterator[Path]:
    """Make a directory that every user can reach; it is removed in the end.

    The directories of a test are closed to everybody else, so a program that gives root's privileges up
    could not work in them.

    Args:
        name: what its name begins with.
    """
    with TemporaryDirectory(prefix=f"{name}-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def wait_until(condition: Callable[[], T | None]) -> T:
    """Wait until something is true; give it."""
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return result
