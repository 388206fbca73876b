"""The command line in this process: what main() serves with, on which loop, as whom, until when."""

from __future__ import annotations

import asyncio
import logging
import queue
import smtplib
import socket
import ssl
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
import trustme

from aiosmtpd import main as main_module
from aiosmtpd.extensions import BUILT_IN
from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.main import main
from aiosmtpd.smtp import DATA_SIZE_DEFAULT, SMTP

T = TypeVar("T")

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="Unix has these")
TIMEOUT = 20.0
LISTENING = "Server is listening on "


class Recorder:
    """Keeps who sent what."""

    def __init__(self) -> None:
        self.loop = current_loop_or_none()
        self.peers: list[Any] = []
        self.proxy_data: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.peers.append(session.peer)
        self.proxy_data.append(session.proxy_data)
        return "250 OK"


class Judge(Recorder):
    async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: Any) -> bool:
        return False


class Slotted:
    """A handler that nothing can be hung on."""

    __slots__ = ()

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [responses[0], "250-PEER " + session.peer[0], *responses[1:]]


def current_loop_or_none() -> asyncio.AbstractEventLoop | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop()
        except RuntimeError:
            return None


class Announcements(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.put(record.getMessage())

    def where(self) -> str:
        """Where the server listens, once it does."""
        while True:
            line = self.lines.get(timeout=TIMEOUT)
            if line.startswith(LISTENING):
                return line.removeprefix(LISTENING)
            assert line != "over", "main() came to its end without listening"


@pytest.fixture
def announcements() -> Iterator[Announcements]:
    handler = Announcements()
    log = logging.getLogger("mail.log")
    level = log.level
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


@pytest.fixture
def loop(announcements: Announcements) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that the calling program has set."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()
    asyncio.set_event_loop(None)


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with handler classes; the instance that was made last is its attribute ``made``."""
    module: Any = ModuleType("trial_handlers")

    def maker(handler_class: Callable[[], Any]) -> Callable[[], Any]:
        def make() -> Any:
            module.made = handler_class()
            return module.made

        return make

    for handler_class in (Recorder, Judge, Slotted):
        setattr(module, handler_class.__name__, maker(handler_class))
    monkeypatch.setitem(sys.modules, "trial_handlers", module)
    return module


@pytest.fixture
def run(
    announcements: Announcements, loop: asyncio.AbstractEventLoop
) -> Callable[[list[str], Callable[[str], T]], T]:
    """Run main() here and a client in a thread, and stop the loop when the client is done."""

    def run_main(args: list[str], client: Callable[[str], T]) -> T:
        def work() -> T:
            try:
                return client(announcements.where())
            finally:
                loop.call_soon_threadsafe(loop.stop)

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(work)
            try:
                main(["-d", *args])
            finally:
                announcements.lines.put("over")
            return future.result(TIMEOUT)

    return run_main


def port_of(where: str) -> int:
    return int(where.rpartition(":")[2])


def send(where: str, context: ssl.SSLContext | None = None) -> dict[str, str]:
    """Send a message, and give the features that EHLO told of."""
    with smtplib.SMTP("localhost", port_of(where), timeout=TIMEOUT) as client:
        if context is not None:
            client.starttls(context=context)
        client.sendmail("a@example.com", ["b@example.com"], b"Subject: x\r\n\r\nHello\r\n")
        return dict(client.esmtp_features)


def dialogue(where: str, *lines: bytes) -> list[bytes]:
    """Say lines one after the other, and give the last line of each reply; the greeting first."""
    host = where.rpartition(":")[0].strip("[]")
    with socket.create_connection((host, port_of(where)), TIMEOUT) as sock:
        return converse(sock, *lines)


def converse(sock: socket.socket, *lines: bytes, greeting_waits: bool = False) -> list[bytes]:
    replies = []
    with sock.makefile("rwb") as file:
        for line in ([] if greeting_waits else [b""]) + list(lines):
            file.write(line)
            file.flush()
            reply = file.readline()
            while reply[3:4] == b"-":
                reply = file.readline()
            replies.append(reply.rstrip())
    return replies


def made_with(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    """The calls of partial() that main makes."""
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def recording(function: Any, *args: Any, **keywords: Any) -> Any:
        calls.append((function, args, keywords))
        return partial(function, *args, **keywords)

    monkeypatch.setattr(main_module, "partial", recording)
    return calls


Run = Callable[[list[str], Callable[[str], Any]], Any]


def test_serves_until_the_loop_is_stopped(
    run: Run, loop: asyncio.AbstractEventLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    features = run(["-n", "-l", ":0"], send)
    assert features["size"] == str(DATA_SIZE_DEFAULT)
    assert "smtputf8" not in features
    assert loop.is_closed()
    assert capsys.readouterr().out.splitlines()[0] == "---------- MESSAGE FOLLOWS ----------"


def test_default_parameters(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = made_with(monkeypatch)
    run(["-n", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"], send)
    (function, (handler,), keywords) = calls[0]
    assert function is SMTP
    assert isinstance(handler, Sink)
    assert keywords == {
        "data_size_limit": DATA_SIZE_DEFAULT,
        "enable_SMTPUTF8": False,
        "tls_context": None,
        "require_starttls": True,
        "proxy_protocol_timeout": None,
        "proxy_networks": None,
    }


def test_size_and_smtputf8(run: Run) -> None:
    features = run(["-n", "-u", "-s", "4000", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"], send)
    assert features["size"] == "4000"
    assert "smtputf8" in features


def test_size_zero_is_no_limit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = made_with(monkeypatch)
    run(["-n", "-s", "0", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"], send)
    assert calls[0][2]["data_size_limit"] == 0


def test_lmtp(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = made_with(monkeypatch)
    replies = run(
        ["-n", "--lmtp", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"],
        partial(dialogue_of, b"EHLO a\r\n", b"LHLO a\r\n"),
    )
    assert calls[0][0] is LMTP
    assert [reply[:3] for reply in replies] == [b"220", b"500", b"250"]


def dialogue_of(*lines_and_where: Any) -> list[bytes]:
    *lines, where = lines_and_where
    return dialogue(where, *lines)


def test_ipv6_address_is_shown_in_brackets(run: Run) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")

    def client(where: str) -> None:
        assert where.startswith("[::1]:")
        assert dialogue(where, b"QUIT\r\n")[-1].startswith(b"221")

    run(["-n", "-l", "[::1]:0", "-c", "aiosmtpd.handlers.Sink"], client)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@needs_unix
def test_unix_socket(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s"

    def client(where: str) -> list[bytes]:
        assert where == str(path)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(where)
            return converse(sock, b"LHLO a\r\n", b"QUIT\r\n")

    args = ["-n", "--lmtp", "--unix", str(path), "-c", "aiosmtpd.handlers.Sink"]
    assert [reply[:3] for reply in run(args, client)] == [b"220", b"250", b"221"]
    assert not path.exists()


def test_handler_is_made_beside_its_loop(
    run: Run, trial: Any, loop: asyncio.AbstractEventLoop
) -> None:
    run(["-n", "-l", ":0", "-c", "trial_handlers.Recorder"], send)
    assert trial.made.loop is loop


# -- TLS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pems(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("pems")
    cert = authority.issue_cert("localhost")
    cert.private_key_pem.write_to_path(str(directory / "key"))
    for pem in cert.cert_chain_pems:
        pem.write_to_path(str(directory / "cert"), append=True)
    return [str(directory / "cert"), str(directory / "key")]


def test_starttls_is_required(run: Run, pems: list[str], client_context: ssl.SSLContext) -> None:
    args = ["-n", "--tlscert", pems[0], "--tlskey", pems[1], "-l", ":0"]

    def client(where: str) -> None:
        replies = dialogue(where, b"EHLO a\r\n", b"MAIL FROM:<a@example.com>\r\n")
        assert replies[-1].startswith(b"530")
        send(where, client_context)

    run([*args, "-c", "aiosmtpd.handlers.Sink"], client)


def test_starttls_is_offered(run: Run, pems: list[str]) -> None:
    args = ["-n", "--tlscert", pems[0], "--tlskey", pems[1], "--no-requiretls", "-l", ":0"]
    assert "starttls" in run([*args, "-c", "aiosmtpd.handlers.Sink"], send)


def test_smtps_with_starttls_beside_it(
    run: Run, pems: list[str], client_context: ssl.SSLContext
) -> None:
    args = ["-n", "--smtpscert", pems[0], "--smtpskey", pems[1], "-l", ":0"]

    def client(where: str) -> int:
        with smtplib.SMTP_SSL(
            "localhost", port_of(where), context=client_context, timeout=TIMEOUT
        ) as smtps:
            smtps.ehlo()
            return smtps.mail("a@example.com")[0]

    args += ["--tlscert", pems[0], "--tlskey", pems[1], "-c", "aiosmtpd.handlers.Sink"]
    assert run(args, client) == 250  # TLS is there already: STARTTLS cannot be required


# -- PROXY protocol ----------------------------------------------------------------------------------

PROXY_V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\n"
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2_ADDRESSES = bytes((203, 0, 113, 9, 192, 0, 2, 1)) + (40001).to_bytes(2, "big") + b"\x00\x19"
PROXY_V2 = V2_SIGNATURE + b"\x21\x11\x00\x0c" + V2_ADDRESSES
LOCAL_V2 = V2_SIGNATURE + b"\x20\x11\x00\x0c" + V2_ADDRESSES


def deliver_behind(header: bytes, where: str) -> tuple[str, int]:
    """Deliver a message after a PROXY header; give the address of the connection itself."""
    with socket.create_connection(("localhost", port_of(where)), TIMEOUT) as sock:
        replies = converse(
            sock,
            header,
            b"EHLO a\r\n",
            b"MAIL FROM:<a@example.com>\r\n",
            b"RCPT TO:<b@example.com>\r\n",
            b"DATA\r\n",
            b"Hello\r\n.\r\n",
            greeting_waits=True,
        )
        assert [reply[:3] for reply in replies] == [b"220", b"250", b"250", b"250", b"354", b"250"]
        host, port = sock.getsockname()[:2]
        return host, port


PROXIED = ["-n", "--proxy-protocol", "5", "-l", ":0", "-c"]


@pytest.mark.parametrize(
    ("header", "peer"),
    [(PROXY_V1, ("203.0.113.7", 40000)), (PROXY_V2, ("203.0.113.9", 40001))],
)
def test_proxy_header_is_believed(
    run: Run, trial: Any, header: bytes, peer: tuple[str, int]
) -> None:
    run([*PROXIED, "trial_handlers.Recorder"], partial(deliver_behind, header))
    assert trial.made.peers == [peer]
    assert trial.made.proxy_data[0].src_port == peer[1]


@pytest.mark.parametrize("header", [LOCAL_V2, b"PROXY UNKNOWN\r\n"])
def test_proxy_header_without_a_client(run: Run, trial: Any, header: bytes) -> None:
    address = run([*PROXIED, "trial_handlers.Recorder"], partial(deliver_behind, header))
    assert trial.made.peers[0][:2] == address


def test_proxy_header_is_for_the_handler_to_judge(run: Run, trial: Any) -> None:
    def client(where: str) -> bytes:
        with socket.create_connection(("localhost", port_of(where)), TIMEOUT) as sock:
            sock.sendall(PROXY_V1)
            return sock.recv(4096)

    assert not run([*PROXIED, "trial_handlers.Judge"], client).startswith(b"220")


def test_malformed_proxy_header_is_refused(run: Run, trial: Any) -> None:
    def client(where: str) -> bytes:
        with socket.create_connection(("localhost", port_of(where)), TIMEOUT) as sock:
            sock.sendall(b"PROXY TCP4 203.0.113.7\r\n")
            return sock.recv(4096)

    assert not run([*PROXIED, "trial_handlers.Recorder"], client).startswith(b"220")


def test_hooks_of_a_handler_behind_a_proxy(run: Run, trial: Any) -> None:
    def client(where: str) -> bytes:
        with socket.create_connection(("localhost", port_of(where)), TIMEOUT) as sock:
            sock.sendall(PROXY_V1 + b"EHLO a\r\nQUIT\r\n")
            with sock.makefile("rb") as file:
                return file.read()

    assert b"250-PEER 203.0.113.7\r\n" in run([*PROXIED, "trial_handlers.Slotted"], client)


LISTED = ["-n", "--proxy-network", "192.0.2.0/24", "--proxy-network", "127.0.0.1", "-l", ":0", "-c"]


@pytest.mark.parametrize("more", [[], ["--proxy-protocol", "30"]])
def test_proxy_header_of_a_listed_network(run: Run, trial: Any, more: list[str]) -> None:
    run([*more, *LISTED, "trial_handlers.Recorder"], partial(deliver_behind, PROXY_V1))
    assert trial.made.peers == [("203.0.113.7", 40000)]


def test_no_proxy_header_is_expected_of_others(run: Run, trial: Any) -> None:
    run(["-n", "--proxy-network", "192.0.2.1", "-l", ":0", "-c", "trial_handlers.Recorder"], send)
    assert trial.made.peers[0][0] in ("127.0.0.1", "::1")


def test_extensions(run: Run) -> None:
    names = sorted(BUILT_IN)
    options = [word for name in names for word in ("--extension", name.lower())]
    features = run(["-n", *options, "-l", ":0", "-c", "aiosmtpd.handlers.Sink"], send)
    # These two depend on what the handler has, and on TLS.
    offered = set(names) - {"ETRN", "REQUIRETLS"}
    assert offered <= {feature.upper() for feature in features}


def test_extensions_are_added_before_help(run: Run) -> None:
    def client(where: str) -> list[bytes]:
        with socket.create_connection(("localhost", port_of(where)), TIMEOUT) as sock:
            sock.sendall(b"EHLO a\r\nQUIT\r\n")
            with sock.makefile("rb") as file:
                return file.read().split(b"\r\n")

    args = ["-n", "--extension", "DSN", "-l", ":0", "-c", "aiosmtpd.handlers.Sink"]
    lines = run(args, client)
    assert lines[-4:] == [b"250-DSN", b"250 HELP", b"221 Bye", b""]
