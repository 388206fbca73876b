"""The command line as a program of its own: its streams, its exit status, and signals."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aiosmtpd import __version__
from aiosmtpd.main import main

TIMEOUT = 20.0
LISTENING = "Server is listening on "

HANDLERS = '''
import asyncio, os, sys

class Waiting:
    """Says that it has a message, and accepts it once it is told to."""

    async def handle_DATA(self, server, session, envelope):
        print("has a message", file=sys.stderr, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        return "250 stored"

class Endless:
    async def handle_DATA(self, server, session, envelope):
        print("has a message", file=sys.stderr, flush=True)
        await asyncio.Event().wait()

class Identity:
    async def handle_DATA(self, server, session, envelope):
        print(*os.getresuid(), *os.getresgid(), *os.getgroups(), flush=True)
        return "250 OK"
'''

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="a process can only be killed there, not asked to end"
)


class Program:
    """A running aiosmtpd."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = ""

    def wait_for(self, text: str) -> str:
        """Read the standard error up to a line with a text in it, and give that line."""
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            if text in line:
                return line.rstrip("\n")
            seen.append(line)
        raise AssertionError(f"{text!r} is not in {seen}")

    def client(self) -> smtplib.SMTP:
        host, _, port = self.address.rpartition(":")
        return smtplib.SMTP(host, int(port), timeout=TIMEOUT)

    def deliver(self) -> None:
        with self.client() as client:
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\nHello\r\n")

    def ask_to_end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; give the status, and the rest of standard output and error."""
        out, err = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out, err


@contextmanager
def program(*args: str, path: Path | None = None) -> Iterator[Program]:
    """Run aiosmtpd on a free port."""
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "aiosmtpd", "-l", "localhost:0", *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
        stack.callback(process.kill)
        running = Program(process)
        running.address = running.wait_for(LISTENING).partition(LISTENING)[2]
        yield running


@pytest.fixture
def handlers(tmp_path: Path) -> Path:
    (tmp_path / "trial_handlers.py").write_text(HANDLERS)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_receives_mail_until_a_signal(number: int, loop: str) -> None:
    with program("-n", "--loop", loop) as running:
        running.deliver()
        with running.client() as idle:  # one that says nothing is told so, and keeps nobody
            running.ask_to_end(number)
            assert idle.getreply()[0] == 421
            status, out, err = running.end()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["---------- MESSAGE FOLLOWS ----------", "mail options: ['SIZE=21']"]
    assert lines[2:4] == ["", "Subject: x"]
    assert lines[4].startswith("X-Peer: (")
    assert lines[5:] == ["", "Hello", "------------ END MESSAGE ------------"]


def test_commands_of_the_clients_are_logged() -> None:
    with program("-n", "-d", "-c", "aiosmtpd.handlers.Sink") as running:
        running.deliver()
        running.ask_to_end()
        status, out, err = running.end()
    assert (status, out) == (0, "")
    assert "sender: a@example.com" in err
    assert "DEBUG" not in err


def test_a_message_is_finished_before_the_end(handlers: Path) -> None:
    arguments = ("-n", "-dd", "-c", "trial_handlers.Waiting")
    with program(*arguments, path=handlers) as running, ThreadPoolExecutor(1) as pool:
        with running.client() as client:
            client.ehlo("a")
            client.mail("a@example.com")
            client.rcpt("b@example.com")
            reply = pool.submit(client.data, b"Hello\r\n")
            running.wait_for("has a message")
            running.ask_to_end()
            running.wait_for("Completed asyncio loop")
            stdin = running.process.stdin
            assert stdin is not None
            stdin.write("go\n")
            stdin.flush()
            assert reply.result(TIMEOUT) == (250, b"stored")
            assert client.getreply()[0] == 421
        status, out, _ = running.end()
    assert (status, out) == (0, "")


def test_a_second_signal_ends_it_at_once(handlers: Path) -> None:
    arguments = ("-n", "-dd", "-c", "trial_handlers.Endless")
    with program(*arguments, path=handlers) as running, ThreadPoolExecutor(1) as pool:
        client = running.client()
        client.ehlo("a")
        client.mail("a@example.com")
        client.rcpt("b@example.com")
        reply = pool.submit(client.data, b"Hello\r\n")
        running.wait_for("has a message")
        running.ask_to_end()
        running.wait_for("Completed asyncio loop")
        running.ask_to_end()
        status, out, err = running.end()
        assert isinstance(reply.exception(TIMEOUT), (smtplib.SMTPServerDisconnected, OSError))
        client.close()
    assert (status, out) == (0, "")
    assert "Traceback" not in err


needs_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can become somebody else"
)


@needs_root
def test_gives_up_root(handlers: Path) -> None:
    pwd = pytest.importorskip("pwd")
    nobody = pwd.getpwnam("nobody")
    with program("-c", "trial_handlers.Identity", path=handlers) as running:
        running.deliver()
        running.ask_to_end()
        status, out, _ = running.end()
    assert status == 0
    groups = os.getgrouplist("nobody", nobody.pw_gid)
    identity = list(map(int, out.split()))
    assert identity[:6] == [nobody.pw_uid] * 3 + [nobody.pw_gid] * 3
    assert sorted(identity[6:]) == sorted(groups)


@needs_root
def test_what_a_handler_makes_belongs_to_the_user() -> None:
    pwd = pytest.importorskip("pwd")
    nobody = pwd.getpwnam("nobody")
    with TemporaryDirectory() as directory:  # tmp_path is behind a directory that is root's alone
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        maildir = Path(directory, "Maildir")
        with program("-c", "aiosmtpd.handlers.Mailbox", str(maildir)) as running:
            running.deliver()
            running.ask_to_end()
            status, out, err = running.end()
        assert (status, out, err) == (0, "", "")
        [message] = (maildir / "new").iterdir()
        assert {path.stat().st_uid for path in (maildir, message)} == {nobody.pw_uid}


@needs_root
def test_a_directory_of_roots_is_not_the_users() -> None:
    with TemporaryDirectory() as directory:
        arguments = ["-l", "localhost:0", "-c", "aiosmtpd.handlers.Mailbox", f"{directory}/Maildir"]
        ended = subprocess.run(
            [sys.executable, "-m", "aiosmtpd", *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert line.endswith(f"Mailbox: Permission denied: {directory}/Maildir")


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (["-l", "localhost:port"], 2, "error: Invalid port number: port"),
        (["-c", "nowhere.Handler"], 1, "error: cannot make a handler of class nowhere.Handler: "),
        (["-l", "[::ffff:192.0.2.1]:0"], 1, "error: cannot listen on "),
    ],
)
def test_wrong_input(args: list[str], status: int, line: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "aiosmtpd", "-n", *args],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert line in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_version_and_what_it_imports() -> None:
    script = "import sys, aiosmtpd.main; print(*sys.modules); aiosmtpd.main.main(['-v'])"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    modules, version = ended.stdout.splitlines()
    assert version.endswith(f" {__version__}")
    assert {"uvloop", "aiosmtpd.handlers", "email", "mailbox"}.isdisjoint(modules.split())


def test_the_command() -> None:
    (command,) = entry_points(group="console_scripts", name="aiosmtpd")
    assert command.load() is main
