"""The servers that are compared, and how each is started and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .client import LoadError
from .environment import OLD, Environment

__all__ = ["MODES", "Server", "Subject", "choose_subjects", "free_port", "serving", "serving_all"]

MODES = ("smtp", "lmtp", "starttls", "implicit")
_SERVE = Path(__file__).with_name("serve.py")
_NODEMAILER = Path(__file__).with_name("nodemailer.cjs")
_START_SECONDS = 10.0


@dataclass(frozen=True)
class Subject:
    """A server to measure.

    Attributes:
        key: its short name.
        title: its name in tables.
        command: gives the command line for a port and a mode.
        modes: which modes it can be started in.
        lmtp_replies: gives how many replies a message for so many recipients gets under LMTP.
        streams: whether it has ``handle_BODY``; ``--stream`` is then added to the command.
        slow: left out of quick runs.
    """

    key: str
    title: str
    command: Callable[[int, str], Sequence[str | Path]]
    modes: tuple[str, ...] = MODES
    lmtp_replies: Callable[[int], int] = lambda recipients: recipients
    streams: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        subject: what it is.
        pid: of its process.
        address: where it listens.
    """

    subject: Subject
    pid: int
    address: tuple[str, int]


def choose_subjects(environment: Environment, *, quick: bool = False) -> list[Subject]:
    """Give what can be measured here, in the order in which it is shown."""

    def python(path: Path, loop: str) -> Callable[[int, str], Sequence[str | Path]]:
        def command(port: int, mode: str) -> Sequence[str | Path]:
            options = [str(port), "--loop", loop, "--mode", mode]
            return [path, _SERVE, *options, "--certificate", environment.certificate]

        return command

    def sink(port: int, mode: str) -> Sequence[str | Path]:
        assert environment.sink is not None
        user = ["-u", "nobody"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        lmtp = ["-L"] if mode == "lmtp" else []
        return [environment.sink, *user, *lmtp, "-m", "50000", f"127.0.0.1:{port}", "4096"]

    def node(port: int, mode: str) -> Sequence[str | Path]:
        assert environment.node is not None
        return [environment.node, _NODEMAILER, str(port), mode, environment.certificate]

    subjects = [
        Subject("asyncio", "aiosmtpd 2, asyncio", python(environment.new, "asyncio"), streams=True)
    ]
    if environment.uvloop:
        command = python(environment.new, "uvloop")
        subjects.insert(0, Subject("uvloop", "aiosmtpd 2, uvloop", command, streams=True))
    if environment.old is not None:
        # 1.4.6 answers the end of a body once, however many recipients there are.
        for loop in ("asyncio", "uvloop")[: 1 + environment.uvloop]:
            subjects.append(
                Subject(
                    f"old-{loop}",
                    f"aiosmtpd {OLD}, {loop}",
                    python(environment.old, loop),
                    lmtp_replies=lambda recipients: 1,
                    slow=loop == "uvloop",
                )
            )
    if environment.sink is not None:
        subjects.append(Subject("sink", "Postfix smtp-sink (C)", sink, modes=("smtp", "lmtp")))
    if environment.node is not None:
        subjects.append(Subject("node", "smtp-server (Node)", node, slow=True))
    return [subject for subject in subjects if not (quick and subject.slow)]


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def serving(
    environment: Environment, subject: Subject, mode: str = "smtp", *, stream: bool = False
) -> Iterator[Server]:
    """Run a server, from its first greeting on, for the length of a ``with`` statement.

    Raises:
        LoadError: it does not start.
    """
    with ExitStack() as stack:
        yield _await_greeting(_start(environment, subject, mode, stack, stream=stream))


@contextmanager
def serving_all(
    environment: Environment, subjects: Sequence[Subject], mode: str = "smtp"
) -> Iterator[list[Server]]:
    """Run several servers at once, as :func:`serving` does."""
    with ExitStack() as stack:
        started = [_start(environment, subject, mode, stack) for subject in subjects]
        yield [_await_greeting(server) for server in started]


def _start(
    environment: Environment, subject: Subject, mode: str, stack: ExitStack, *, stream: bool = False
) -> Server:
    port = free_port()
    process = subprocess.Popen(
        [*subject.command(port, mode), *(["--stream"] if stream else [])],
        env=environment.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if sys.platform == "linux" and environment.server_core is not None:
        os.sched_setaffinity(process.pid, {environment.server_core})
    stack.callback(process.wait)
    stack.callback(process.kill)
    return Server(subject, process.pid, ("127.0.0.1", port))


def _await_greeting(server: Server) -> Server:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(server.address, timeout=_START_SECONDS):
                return server
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise LoadError(f"{server.subject.title} does not start") from None
            time.sleep(0.01)
