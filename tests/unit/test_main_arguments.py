"""What the command line makes of its arguments, before anything listens."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trustme

from aiosmtpd import __version__, main
from aiosmtpd.extensions import BUILT_IN
from aiosmtpd.handlers import Debugging
from aiosmtpd.main import PROGRAM, parseargs


class Plain:
    """A handler class without from_cli()."""


class Broken:
    def __init__(self) -> None:
        raise RuntimeError("no\nluck")


class Choosy:
    def __init__(self, *args: str) -> None:
        self.args = args

    @classmethod
    def from_cli(cls, parser: Any, *args: str) -> Choosy:
        if args == ("wrong",):
            parser.error("Choosy is not content")
        if args == ("fail",):
            raise OSError(13, "ignored text")
        return cls(*args)


@pytest.fixture(autouse=True)
def trial_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("trial_handlers")
    for handler_class in (Plain, Broken, Choosy):
        setattr(module, handler_class.__name__, handler_class)
    monkeypatch.setitem(sys.modules, "trial_handlers", module)


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pems")
    ca = trustme.CA()
    for name in ("one", "two"):
        cert = ca.issue_cert("localhost")
        cert.private_key_pem.write_to_path(str(directory / f"{name}.key"))
        for pem in cert.cert_chain_pems:
            pem.write_to_path(str(directory / f"{name}.crt"), append=True)
    return directory


def refusal(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[Any, str]:
    """The exit status, and the one line on the standard error."""
    with pytest.raises(SystemExit) as ended:
        parseargs(args)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("\n")
    (line,) = captured.err.splitlines()
    assert line.startswith(f"{PROGRAM}: error: ")
    return ended.value.code, line.removeprefix(f"{PROGRAM}: error: ")


def test_defaults() -> None:
    parser, parsed = parseargs([])
    assert parser.prog == PROGRAM
    assert isinstance(parsed.handler, Debugging)
    del parsed.handler
    assert vars(parsed) == {
        "setuid": True,
        "user": "nobody",
        "classpath": "aiosmtpd.handlers.Debugging",
        "classargs": (),
        "debug": 0,
        "loop": "auto",
        "size": None,
        "smtputf8": False,
        "lmtp": False,
        "extension": None,
        "proxy_protocol": None,
        "proxy_network": None,
        "listen": None,
        "unix": None,
        "host": "localhost",
        "port": 8025,
        "smtpscert": None,
        "smtpskey": None,
        "tlscert": None,
        "tlskey": None,
        "requiretls": True,
        "users": None,
    }


def test_every_short_option() -> None:
    _, parsed = parseargs(
        ["-n", "-s", "1000", "-u", "-dd", "-d", "-l", ":0", "-c", "trial_handlers.Plain"]
    )
    assert (parsed.setuid, parsed.size, parsed.smtputf8, parsed.debug) == (False, 1000, True, 3)
    assert isinstance(parsed.handler, Plain)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("", "", 8025),
        (":", "localhost", 8025),
        (":25", "localhost", 25),
        ("mx.example", "mx.example", 8025),
        ("mx.example:", "mx.example", 8025),
        ("mx.example:0", "mx.example", 0),
        ("192.0.2.1:65535", "192.0.2.1", 65535),
        ("::1:2525", "::1", 2525),  # as 1.4 read it
        (":::25", "::", 25),
        ("::1", "::1", 8025),
        ("::", "::", 8025),
        ("2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", 8025),
        ("fe80::1%eth0", "fe80::1%eth0", 8025),
        ("[::1]", "::1", 8025),
        ("[::1]:", "::1", 8025),
        ("[::1]:25", "::1", 25),
        ("[fe80::1%eth0]:25", "fe80::1%eth0", 25),
    ],
)
def test_listen_address(listen: str, host: str, port: int) -> None:
    _, parsed = parseargs(["-l", listen])
    assert (parsed.host, parsed.port) == (host, port)


def test_defaults_of_the_module_are_read_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "DEFAULT_HOST", "192.0.2.7")
    monkeypatch.setattr(main, "DEFAULT_PORT", 7)
    for args in ([], ["-l"], ["-l", ":"]):
        _, parsed = parseargs(args)
        assert (parsed.host, parsed.port) == ("192.0.2.7", 7)
    monkeypatch.setattr(main, "PROGRAM", "mailcatcher")
    monkeypatch.setattr(main, "DEFAULT_CLASS", "trial_handlers.Plain")
    parser, parsed = parseargs([])
    assert parser.prog == "mailcatcher"
    assert isinstance(parsed.handler, Plain)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-l", "mx:abc"], "Invalid port number: abc"),
        (["-l", ":-1"], "Invalid port number: -1"),
        (["-l", ":65536"], "Invalid port number: 65536"),
        (["-l", ":²"], "Invalid port number: ²"),
        (["-l", "a:b:25"], "Invalid host name: a:b"),
        (["-l", "[mx]:25"], "Invalid IPv6 address: mx"),
        (["-s", "-1"], "Invalid size: -1"),
        (["-s", "1k"], "argument -s/--size: invalid int value: '1k'"),
        (["--proxy-protocol", "0"], "--proxy-protocol takes a number of seconds greater than 0"),
        (["--proxy-protocol", "nan"], "--proxy-protocol takes a number of seconds greater than 0"),
        (["--proxy-protocol", "inf"], "--proxy-protocol takes a number of seconds greater than 0"),
        (["--extension", "size"], "The extension SIZE is there already"),
        (["--extension", "smtputf8"], "The extension SMTPUTF8 is added by -u"),
        (
            ["--extension", "xclient"],
            "The extension XCLIENT needs networks, which a program can give it",
        ),
        (
            ["--extension", "dsn", "--extension", "foo"],
            f"Unknown extension: FOO; there are {', '.join(BUILT_IN)}",
        ),
        (
            ["--proxy-network", "::/0", "--proxy-network", "192.0.2.1/24"],
            "--proxy-network: 192.0.2.1/24 has host bits set",
        ),
        (
            ["--unix", "s", "--proxy-network", "192.0.2.0/24"],
            "--proxy-network is of no use with --unix, where nobody has an address",
        ),
        (["--lmtp", "-l", ":25"], "LMTP must not be used on TCP port 25 (RFC 2033 section 5)"),
        (["-n", "--user", "mail"], "argument --user: not allowed with argument -n/--nosetuid"),
        (["-l", ":0", "--unix", "s"], "argument --unix: not allowed with argument -l/--listen"),
        (["--tlscert", "x"], "--tlscert and --tlskey must be specified together"),
        (["--tlskey", "x"], "--tlscert and --tlskey must be specified together"),
        (["--smtpscert", "x"], "--smtpscert and --smtpskey must be specified together"),
        (["--smtpskey", "x"], "--smtpscert and --smtpskey must be specified together"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--frob\nnicate"], "unrecognized arguments: --frob nicate"),
        (["-c", "aiosmtpd.handlers.Debugging", "x"], "Debugging usage: [stdout|stderr]"),
        (["-c", "trial_handlers.Choosy", "wrong"], "Choosy is not content"),
        (
            ["-c", "trial_handlers.Plain", "x"],
            "Handler class trial_handlers takes no arguments",
        ),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], args: list[str], message: str) -> None:
    assert refusal(capsys, *args) == (2, message)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["-c", "Debugging"],
            "cannot make a handler of class Debugging: it is not of the form package.module.Class",
        ),
        (
            ["-c", "no.such.Handler"],
            "cannot make a handler of class no.such.Handler: No module named 'no'",
        ),
        (
            ["-c", "trial_handlers.Nowhere"],
            "cannot make a handler of class trial_handlers.Nowhere: "
            "AttributeError: module 'trial_handlers' has no attribute 'Nowhere'",
        ),
        (
            ["-c", ".Nowhere"],
            "cannot make a handler of class .Nowhere: it is not of the form package.module.Class",
        ),
        (
            ["-c", "trial_handlers.Broken"],
            "cannot make a handler of class trial_handlers.Broken: RuntimeError: no luck",
        ),
        (
            ["-c", "trial_handlers.Choosy", "fail"],
            "cannot make a handler of class trial_handlers.Choosy: Permission denied",
        ),
    ],
)
def test_wrong_handler_class(
    capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["-n", "-l", ":0", *args])
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", f"{PROGRAM}: error: {message}\n")


def test_parseargs_hands_on_what_a_handler_class_raises() -> None:
    with pytest.raises(RuntimeError, match=r"no\sluck"):
        parseargs(["-c", "trial_handlers.Broken"])


def test_debug_shows_the_traceback_of_a_failing_handler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main.main(["-n", "-d", "-l", ":0", "-c", "trial_handlers.Broken"])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].endswith("RuntimeError: no luck")


def test_extensions() -> None:
    args = ["--extension", "dsn", "--extension", "ETRN", "--extension", "Dsn"]
    assert parseargs(args)[1].extension == ["DSN", "ETRN"]


def test_class_arguments() -> None:
    _, parsed = parseargs(["-c", "trial_handlers.Choosy", "--", "-a", "b"])
    assert parsed.handler.args == ("-a", "b")
    assert parsed.classargs == ["-a", "b"]


def test_debugging_on_the_other_stream() -> None:
    _, parsed = parseargs(["-n", "stderr"])
    assert parsed.handler.stream is sys.stderr


@pytest.mark.parametrize("option", ["tls", "smtps"])
def test_files_of_a_key_pair(capsys: pytest.CaptureFixture[str], pems: Path, option: str) -> None:
    cert, key, absent = pems / "one.crt", pems / "one.key", pems / "absent"
    _, parsed = parseargs([f"--{option}cert", str(cert), f"--{option}key", str(key)])
    assert getattr(parsed, f"{option}cert") == cert
    assert getattr(parsed, f"{option}key") == key
    for pair, message in (
        ((absent, key), f"Cert file {absent} not found"),
        ((cert, absent), f"Key file {absent} not found"),
        ((cert, pems), f"Key file {pems} cannot be read: "),
    ):
        code, line = refusal(
            capsys, f"--{option}cert", str(pair[0]), f"--{option}key", str(pair[1])
        )
        assert code == 2
        assert line.startswith(message)


def test_unreadable_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pems: Path
) -> None:
    key = pems / "one.key"

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(13, "ignored", str(self))

    monkeypatch.setattr(Path, "open", refuse)  # root may read whatever the mode says
    assert stat.S_ISREG(key.stat().st_mode)
    code, line = refusal(capsys, "--tlscert", str(pems / "one.crt"), "--tlskey", str(key))
    assert (code, line) == (2, f"Cert file {pems / 'one.crt'} cannot be read: Permission denied")


def test_unix_socket_on_windows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert refusal(capsys, "--unix", "socket") == (2, "--unix is not supported on Windows")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parseargs(["-v"])
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"{PROGRAM} {__version__}\n", "")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parseargs(["-h"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name in (
        "--nosetuid",
        "--user",
        "--unix",
        "--lmtp",
        "--proxy-protocol",
        "--proxy-network",
        "--loop",
    ):
        assert name in out
