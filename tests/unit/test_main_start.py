"""Before the command line serves: its loop, its log, the user it becomes, and what stops it early."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import trustme

from aiosmtpd import main as main_module
from aiosmtpd.main import PROGRAM, main
from aiosmtpd.server import listen as bind

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="Unix has these")
TIMEOUT = 20.0
LISTENING = "Server is listening on "
SINK = ["-n", "-d", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"]


@pytest.fixture(autouse=True)
def log_level() -> Iterator[logging.Logger]:
    """The logger whose level main() sets."""
    log = logging.getLogger("mail.log")
    level = log.level
    yield log
    log.setLevel(level)


@pytest.fixture(autouse=True)
def no_loop() -> Iterator[None]:
    """No event loop is set, as in a fresh process."""
    asyncio.set_event_loop(None)
    yield
    asyncio.set_event_loop(None)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that the calling program has set."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()


# -- the loop ----------------------------------------------------------------------------------------


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.AbstractEventLoop]:
    """Each server is stopped as soon as it serves; these are the loops on which they did."""
    loops: list[asyncio.AbstractEventLoop] = []
    announce: Callable[..., None] = vars(main_module)["_announce"]

    def announce_and_stop(*args: Any) -> None:
        announce(*args)
        loops.append(asyncio.get_event_loop())
        loops[-1].call_soon(loops[-1].stop)

    monkeypatch.setattr(main_module, "_announce", announce_and_stop)
    return loops


@pytest.mark.parametrize(
    ("choice", "kind"), [("asyncio", "asyncio"), ("uvloop", "uvloop"), ("auto", "uvloop")]
)
def test_choice_of_the_loop(
    stopped: list[asyncio.AbstractEventLoop], choice: str, kind: str
) -> None:
    if kind == "uvloop":
        pytest.importorskip("uvloop")
    main([*SINK, "--loop", choice])
    (loop,) = stopped
    assert type(loop).__module__.partition(".")[0] == kind
    assert loop.is_closed()


def test_without_uvloop(
    stopped: list[asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    main(SINK)
    assert type(stopped[0]).__module__.startswith("asyncio")
    line = failure(capsys, ["-n", "--loop", "uvloop"])
    assert line.startswith("cannot run on uvloop (aiosmtpd[uvloop] installs it): ")


def test_a_loop_that_is_closed_is_not_taken(
    loop: asyncio.AbstractEventLoop, stopped: list[asyncio.AbstractEventLoop]
) -> None:
    loop.close()
    main(SINK)
    assert stopped[0] is not loop


def test_the_program_itself_makes_its_loop(
    loop: asyncio.AbstractEventLoop,
    stopped: list[asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["aiosmtpd", *SINK])
    main()
    assert stopped[0] is not loop
    assert not loop.is_closed()


def test_in_another_thread(stopped: list[asyncio.AbstractEventLoop]) -> None:
    thread = threading.Thread(target=main, args=(SINK,))
    thread.start()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert stopped[0].is_closed()


# -- logging -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "level", "debugged"),
    [
        ([], logging.NOTSET, False),
        (["-d"], logging.INFO, False),
        (["-dd"], logging.DEBUG, False),
        (["-ddd"], logging.DEBUG, True),
    ],
)
def test_levels(
    stopped: list[asyncio.AbstractEventLoop],
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    level: int,
    debugged: bool,
) -> None:
    log = logging.getLogger("mail.log")
    log.setLevel(logging.NOTSET)
    main([*flags, "-n", "-l", ":0", "--loop", "asyncio"])
    assert log.level == level
    assert stopped[0].get_debug() is debugged
    out, err = capsys.readouterr()
    assert out == ""
    # Without the log the port would be known to nobody, so it is printed.
    assert err.startswith(f"{LISTENING}localhost:") is (level == logging.NOTSET)


def test_a_port_that_was_asked_for_is_not_printed(
    stopped: list[asyncio.AbstractEventLoop],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(main_module, "listen", lambda host, port: bind(host, 0))
    main(["-n", "-l", ":25"])
    assert capsys.readouterr() == ("", "")


def test_log_of_a_whole_run(
    stopped: list[asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    main([*SINK, "-d", "--loop", "asyncio"])
    lines = [record.getMessage() for record in caplog.records if record.name == "mail.log"]
    assert [line.partition(" ")[0] for line in lines] == [
        "Attempting",
        "Available",
        "server_loop",
        "Server",
        "Starting",
        "Completed",
    ]
    assert lines[0] == "Attempting to start server on localhost:0"
    assert lines[3].startswith(f"{LISTENING}localhost:")
    assert int(lines[3].rpartition(":")[2]) > 0


# -- the user ----------------------------------------------------------------------------------------


@pytest.fixture
def calls_of_os(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would have been asked of the system, in order; the process is root's."""
    calls: list[tuple[Any, ...]] = []

    def note(name: str) -> None:
        def call(*args: Any, **keywords: Any) -> None:
            calls.append((name, *args))

        monkeypatch.setattr(os, name, call)

    for name in ("setuid", "setgid", "initgroups", "chown"):
        note(name)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = SimpleNamespace(pw_name="somebody", pw_uid=4321, pw_gid=1234)
    users = {"somebody": account, "nobody": account}
    monkeypatch.setattr(main_module, "pwd", SimpleNamespace(getpwnam=users.__getitem__))
    return calls


DROPPED = [("initgroups", "somebody", 1234), ("setgid", 1234), ("setuid", 4321)]


@needs_unix
@pytest.mark.parametrize("user", [[], ["--user", "somebody"]])
def test_becomes_the_user_once_bound(
    stopped: list[asyncio.AbstractEventLoop],
    calls_of_os: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    user: list[str],
) -> None:
    def listen(*args: Any) -> Any:
        calls_of_os.append(("listen",))
        return bind(*args)

    monkeypatch.setattr(main_module, "listen", listen)
    main([*user, "-l", ":0"])
    assert calls_of_os == [("listen",), *DROPPED]


@needs_unix
def test_the_handler_is_made_as_the_user_and_its_class_found_before(
    stopped: list[asyncio.AbstractEventLoop],
    calls_of_os: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Handler:
        def __init__(self) -> None:
            calls_of_os.append(("made",))

    class Trial(ModuleType):
        def __getattr__(self, name: str) -> type[Handler]:
            calls_of_os.append(("found",))
            return Handler

    def listen(*args: Any) -> Any:
        calls_of_os.append(("listen",))
        return bind(*args)

    monkeypatch.setattr(main_module, "listen", listen)
    monkeypatch.setitem(sys.modules, "trial_handlers", Trial("trial_handlers"))
    main(["-l", ":0", "-c", "trial_handlers.Handler"])
    assert calls_of_os == [("found",), ("listen",), *DROPPED, ("made",)]


@needs_unix
def test_a_handler_that_cannot_be_made_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, maildir = tmp_path / "s", tmp_path / "absent" / "Maildir"
    line = failure(
        capsys, ["-n", "--unix", str(path), "-c", "aiosmtpd.handlers.Mailbox", str(maildir)]
    )
    assert line == (
        "cannot make a handler of class aiosmtpd.handlers.Mailbox: "
        f"No such file or directory: {maildir}"
    )
    assert not path.exists()


@needs_unix
def test_unix_socket_belongs_to_the_user(
    stopped: list[asyncio.AbstractEventLoop], calls_of_os: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    path = tmp_path / "s"
    main(["--unix", str(path)])
    assert calls_of_os == [("chown", path, 4321, 1234), *DROPPED]


@needs_unix
def test_is_the_user_already(
    stopped: list[asyncio.AbstractEventLoop],
    calls_of_os: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    main(["-l", ":0"])
    assert calls_of_os == [("setuid", 4321)]


@needs_unix
def test_stays_who_it_is(
    stopped: list[asyncio.AbstractEventLoop], calls_of_os: list[tuple[Any, ...]]
) -> None:
    main(SINK)
    assert calls_of_os == []


@needs_unix
@pytest.mark.parametrize("refused", ["setuid", "setgid", "initgroups"])
def test_not_allowed_to_become_the_user(
    loop: asyncio.AbstractEventLoop,
    calls_of_os: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refused: str,
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, refused, refuse)
    with pytest.raises(SystemExit) as ended:
        main(["-l", ":0"])
    assert ended.value.code == 1
    message = 'Cannot setuid "somebody"; try running with -n option.\n'
    assert capsys.readouterr() == ("", message)


def test_without_users(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(main_module, "pwd", None)
    with pytest.raises(SystemExit) as ended:
        main(["-l", ":0"])
    assert ended.value.code == 1
    message = 'Cannot import module "pwd"; try running with -n option.\n'
    assert capsys.readouterr() == ("", message)


@needs_unix
def test_unknown_user(
    calls_of_os: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(capsys, ["--user", "stranger"]) == 'there is no user "stranger"'
    assert calls_of_os == []


# -- what keeps it from starting ----------------------------------------------------------------------


def failure(capsys: pytest.CaptureFixture[str], args: list[str]) -> str:
    """The one line that main() leaves behind."""
    asyncio.set_event_loop(None)
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 1
    asyncio.set_event_loop(None)
    out, err = capsys.readouterr()
    assert out == ""
    prefix = f"{PROGRAM}: error: "
    assert err.startswith(prefix)
    assert err.count("\n") == 1
    return str(err.removeprefix(prefix).rstrip("\n"))


def test_key_of_another_certificate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cert, key = str(tmp_path / "cert"), str(tmp_path / "key")
    authority = trustme.CA()
    authority.issue_cert("localhost").cert_chain_pems[0].write_to_path(cert)
    authority.issue_cert("localhost").private_key_pem.write_to_path(key)
    for option in ("tls", "smtps"):
        line = failure(capsys, ["-n", f"--{option}cert", cert, f"--{option}key", key])
        assert line == f"cannot use certificate {cert} with key {key}: KEY VALUES MISMATCH"
        # What is no key at all is called differently by each version of OpenSSL.
        line = failure(capsys, ["-n", f"--{option}cert", cert, f"--{option}key", cert])
        assert line.startswith(f"cannot use certificate {cert} with key {cert}: ")


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        line = failure(capsys, ["-n", "-l", f"127.0.0.1:{port}"])
    assert line == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_no_such_host(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(main_module, "listen", fail)  # the DNS may take its time to say so
    line = failure(capsys, ["-n", "-l", "mx.invalid:0"])
    assert line == "cannot listen on mx.invalid:0: Name or service not known"


@pytest.mark.parametrize("host", ["label..empty", "nul\0octet"])
def test_no_name_of_a_host(capsys: pytest.CaptureFixture[str], host: str) -> None:
    line = failure(capsys, ["-n", "-l", f"{host}:0"])
    assert line.startswith(f"cannot listen on {host}:0: ")


def test_address_of_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    line = failure(capsys, ["-n", "-l", "[2001:db8::1]:0"])
    assert line.startswith("cannot listen on [2001:db8::1]:0: ")


def test_privileged_port(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(13, "asyncio's words")

    monkeypatch.setattr(main_module, "listen", refuse)  # root may listen on any
    line = failure(capsys, ["-n", "-l", ":25"])
    assert line == "cannot listen on localhost:25: Permission denied"


@needs_unix
def test_no_directory_for_the_unix_socket(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "absent" / "s"
    line = failure(capsys, ["-n", "--unix", str(path)])
    assert line == f"cannot listen on {path}: No such file or directory"


def test_interrupted_while_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "listen", interrupt)
    main(["-n", "-dd", "-l", ":0", "--loop", "asyncio"])
    assert caplog.messages[-1] == "Interrupted while starting"


# -- signals -----------------------------------------------------------------------------------------


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="needs the main thread"
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("supported", [True, False])
def test_signals(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    supported: bool,
    number: int,
) -> None:
    def refuse(*args: Any) -> None:
        raise NotImplementedError

    def announce_and_raise(*args: Any) -> None:
        asyncio.get_running_loop().call_soon(signal.raise_signal, number)

    def mine(*args: Any) -> None:
        raise AssertionError("the program's own handler")

    monkeypatch.setattr(main_module, "_announce", announce_and_raise)
    if not supported:  # as by the loops of Windows
        monkeypatch.setattr(loop, "add_signal_handler", refuse)
        monkeypatch.setattr(loop, "remove_signal_handler", refuse)
    before = signal.signal(number, mine)
    try:
        main([*SINK, "-d"])
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)
    assert caplog.messages[-1] == "Completed asyncio loop"
