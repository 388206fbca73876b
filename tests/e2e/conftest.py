"""Servers as processes of their own, met by clients over sockets, and a look at their memory.

A server says on its standard error where it listens; so no port is fixed, and nobody waits longer than
it takes. Each process of a parallel run starts its own servers. When a server is stopped it must end as
it should, with nothing on its standard error that was not asked for.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

TIMEOUT = 30.0
LISTENING = b"Server is listening on "
SERVING = Path(__file__).with_name("serving.py")


@dataclass(frozen=True)
class Program:
    """A server that runs.

    Attributes:
        process: its process, in a session of its own.
        ports: where on 127.0.0.1 it listens.
    """

    process: subprocess.Popen[bytes]
    ports: tuple[int, ...]

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.ports[0], "client.example", timeout=TIMEOUT)

    def interrupt(self) -> bytes:
        """Do what Ctrl-C does; give the rest of what the program wrote to its standard output."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.communicate(timeout=TIMEOUT)[0]


Start = Callable[..., AbstractContextManager[Program]]


@contextmanager
def start_program(
    *command: str | Path, listeners: int = 1, **environment: str
) -> Iterator[Program]:
    """Run a server until the end of the ``with`` statement."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            told = [process.stderr.readline() for _ in range(listeners)]
            if not all(line.startswith(LISTENING) for line in told):
                process.kill()
                raise AssertionError(b"".join([*told, process.stderr.read()]).decode())
            yield Program(process, tuple(int(line.rpartition(b":")[2]) for line in told))
            if process.returncode is None:
                process.terminate()
                _, complaints = process.communicate(timeout=TIMEOUT)
                assert (process.poll(), complaints) == (0, b"")
        finally:
            process.kill()


@pytest.fixture(scope="session")
def start() -> Start:
    """Give the way to start a server."""
    if sys.platform == "win32":
        pytest.skip("a process can only be killed there, not asked to end")
    return start_program


@pytest.fixture(scope="session")
def start_hook(start: Start) -> Start:
    """Give the way to start a server that hands mail to one hook, and is warm."""

    @contextmanager
    def start_hook(loop: str, hook: str, *options: str) -> Iterator[Program]:
        command = (sys.executable, SERVING, "--loop", loop, "hook", hook, *options)
        with start(*command, listeners=2) as program:
            # What Python, the system's libraries and the loop keep from now on is not the message's.
            for _ in range(5):
                with program.client() as client:
                    for _ in range(10):
                        client.sendmail(
                            "a@example.com", "b@example.com", b"Subject: x\r\n\r\nx\r\n"
                        )
            yield program

    return start_hook


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """The event loop that the server runs on."""
    name: str = request.param
    if name == "uvloop":
        pytest.importorskip("uvloop")
    return name


# -- TLS ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """Files: of the authority, of the server's certificate, and of its key."""

    authority: Path
    chain: Path
    key: Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("certificate")
    files = Certificate(*(directory / name for name in ("ca.pem", "chain.pem", "key.pem")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files.authority)
    issued = authority.issue_cert("127.0.0.1", "localhost")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files.chain, append=True)
    issued.private_key_pem.write_to_path(files.key)
    return files


# -- memory ---------------------------------------------------------------------------------------

Growth = Callable[[], int]
WatchMemory = Callable[[int], AbstractContextManager[Growth]]


def _resident(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def watch(pid: int) -> Iterator[Growth]:
    """Give what tells how many octets of memory a process has needed, at most, from here on."""
    before = _resident(pid, "VmRSS")
    try:
        # From now on VmHWM is the peak since now (proc(5)). Not every system lets us.
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        with _sample(pid) as peak:
            yield lambda: peak() - before
    else:
        yield lambda: _resident(pid, "VmHWM") - before


@contextmanager
def _sample(pid: int) -> Iterator[Callable[[], int]]:
    """Look at the memory of a process again and again; give what tells the most that was seen."""
    most = _resident(pid, "VmRSS")
    ended = threading.Event()

    def look() -> int:
        nonlocal most
        most = max(most, _resident(pid, "VmRSS"))
        return most

    def sample() -> None:
        while not ended.wait(0.001):
            look()

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield look
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="session")
def watch_memory() -> WatchMemory:
    """Give the way to measure the memory of a process."""
    if sys.platform != "linux":
        pytest.skip("the memory of another process is looked up in /proc")
    return watch
