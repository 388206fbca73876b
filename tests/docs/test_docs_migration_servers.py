"""What the migration guide says of servers, handlers, the command line and the Python side.

The other half of ``test_docs_migration.py``, which says more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import smtplib
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

import aiosmtpd
from aiosmtpd.controller import Controller, UnixSocketController, UnthreadedController
from aiosmtpd.handlers import Mailbox, Message, Proxy, Sink
from aiosmtpd.main import _loop_factory
from aiosmtpd.proxy_protocol import ProxyData
from aiosmtpd.server import BACKLOG
from aiosmtpd.session import Session
from aiosmtpd.smtp import SMTP, AuthResult
from aiosmtpd.testing import RecordingHandler, converse

ROOT = Path(__file__).parents[2]


# -- servers --------------------------------------------------------------------------------------


def test_m_16_a_free_port_and_errors_at_once() -> None:
    with Controller(Sink(), "127.0.0.1", 0) as controller:
        assert controller.port != 0
        # Whoever waits here waits longer than any test may take.
        with pytest.raises(OSError, match="address already in use"):
            Controller(Sink(), "127.0.0.1", controller.port, ready_timeout=3600).start()
        with Controller(Sink(), "127.0.0.1", 0, proxy_protocol_timeout=3600, ready_timeout=3600):
            pass


def test_m_16_a_controller_begins_in_a_running_loop() -> None:
    async def main() -> None:
        controller = UnthreadedController(Sink(), "127.0.0.1", 0)
        controller.begin()
        reader, writer = await asyncio.open_connection("127.0.0.1", controller.port)
        assert (await reader.readline()).startswith(b"220 ")
        writer.close()
        await controller.finalize()

    asyncio.run(main())


def test_m_17_many_clients_may_wait() -> None:
    assert BACKLOG == 4096


def test_m_32_a_controller_can_be_started_again() -> None:
    controller = Controller(Sink(), OWN_ADDRESS, 0)
    for _ in range(2):
        controller.start()
        with smtplib.SMTP(OWN_ADDRESS, controller.port) as client:
            assert client.noop()[0] == 250
        controller.stop()


def test_m_33_idle_clients_are_told() -> None:
    controller = Controller(Sink(), "127.0.0.1", 0)
    controller.start()
    with socket.create_connection(("127.0.0.1", controller.port)) as sock, sock.makefile() as file:
        assert file.readline().startswith("220 ")
        controller.stop()
        assert file.read() == "421 4.3.2 Server shutting down\n"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_m_34_the_file_of_a_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with UnixSocketController(Sink(), path):
        assert path.exists()
    assert not path.exists()


# -- the PROXY protocol ---------------------------------------------------------------------------


def proxied(handler: object, header: bytes) -> bytes:
    """What a server says to a header, up to the end of the connection."""
    with Controller(handler, "127.0.0.1", 0, proxy_protocol_timeout=20) as controller:
        address = ("127.0.0.1", controller.port)
        with socket.create_connection(address, timeout=20) as sock, sock.makefile("rb") as file:
            # In one go: were QUIT to come while the server hangs up, it would reset the connection,
            # and what it has said might be lost.
            sock.sendall(header + b"QUIT\r\n")
            return file.read()


class Judge:
    """Accepts each connection that the proxy announces."""

    data: ProxyData | None = None

    async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: ProxyData) -> bool:
        self.data = data
        return True


HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n"


def test_m_46_an_exception_in_handle_proxy_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fails(Judge):
        async def handle_PROXY(self, *_: Any) -> bool:
            raise ValueError("secret")

    assert proxied(Fails(), HEADER) == b"451 4.3.0 Error: local error in processing\r\n"
    assert "ValueError: secret" in caplog.text


@pytest.mark.parametrize(
    "header",
    [HEADER.replace(b"TCP4", family) for family in (b"TCPx4", b"TCP04", b"tcp4")]
    + [HEADER.replace(port, port + b"\t") for port in (b"40000", b"25")],
)
def test_m_47_a_header_is_read_to_the_letter(header: bytes) -> None:
    handler = Judge()
    assert proxied(handler, header) == b""
    assert handler.data is None
    assert proxied(handler, HEADER).startswith(b"220 ")


def test_m_48_a_malformed_ssl_tlv_tells_nothing() -> None:
    def tlv_of(ssl: bytes) -> Any:
        value = bytes([192, 0, 2, 1, 192, 0, 2, 25, 0, 99, 0, 25, 0x20, 0, len(ssl)]) + ssl
        head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(value).to_bytes(2, "big")
        handler = Judge()
        assert proxied(handler, head + value).startswith(b"220 ")
        assert handler.data is not None
        return handler.data.tlv

    assert tlv_of(bytes([1, 0, 0, 0, 0])) == {"SSL": True, "SSL_CLIENT": 1, "SSL_VERIFY": 0}
    assert tlv_of(b"abc") is None


# -- handlers -------------------------------------------------------------------------------------

FORGED = b"X-Peer: forged\r\nX-MailFrom: forged\r\nX-RcptTo: forged\r\nSubject: hi\r\n\r\nbody\r\n"


@contextlib.contextmanager
def served(handler: object) -> Iterator[smtplib.SMTP]:
    with (
        Controller(handler, "127.0.0.1", 0) as controller,
        smtplib.SMTP("127.0.0.1", controller.port) as client,
    ):
        yield client


def test_m_18_the_next_hop_answers() -> None:
    hop = RecordingHandler("452 4.2.2 full")
    with Controller(hop, OWN_ADDRESS, 0) as controller:
        with served(Proxy(OWN_ADDRESS, controller.port)) as client:
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("a@b", "c@d", FORGED)
            assert refused.value.args == (452, b"4.2.2 full")
            client.ehlo()
            client.mail("a@b")
            client.rcpt("c@d")
            client.docmd("DATA")
            client.send(b"Subject: hi\r\n\r\nbare\nand\rbare\r\n.\r\n")
            assert client.getreply()[0] == 452
        port = controller.port
    content = hop.envelopes[-1].content
    assert isinstance(content, bytes)
    assert content.endswith(b"\r\n\r\nbare\r\nand\r\nbare\r\n")
    with served(Proxy(OWN_ADDRESS, port)) as client, pytest.raises(smtplib.SMTPDataError) as dead:
        client.sendmail("a@b", "c@d", FORGED)
    assert dead.value.smtp_code == 451


def test_m_19_what_the_client_made_up_is_removed() -> None:
    class Keep(Message):
        def handle_message(self, message: Any) -> None:
            self.message = message

    handler = Keep()
    with served(handler) as client:
        client.sendmail("anne@example.com", ["bart@example.com"], FORGED)
    assert handler.message.get_all("X-MailFrom") == ["anne@example.com"]
    assert handler.message.get_all("X-RcptTo") == ["bart@example.com"]
    assert "forged" not in str(handler.message)


def test_m_22_what_is_stored_is_what_was_sent(tmp_path: Path) -> None:
    with served(Mailbox(tmp_path / "Maildir")) as client:
        client.sendmail("anne@example.com", ["bart@example.com"], b"Subject: hi\r\n\r\n\xe9\r\n")
    [path] = (tmp_path / "Maildir" / "new").iterdir()
    stored = path.read_bytes()
    assert stored.endswith(b"\r\nSubject: hi\r\n\r\n\xe9\r\n")
    assert stored.startswith(b"X-Peer: ")


# -- the Python side ------------------------------------------------------------------------------


def test_m_35_nothing_is_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == []
    assert not hasattr(ProxyData(version=None), "__attrs_attrs__")
    assert not hasattr(AuthResult, "__attrs_attrs__")


def test_m_36_reader_and_writer_are_there() -> None:
    class Reads(SMTP):
        async def smtp_READ(self, arg: str | None) -> None:
            await self.push("354 go on")
            line = await self._reader.readline()
            self._writer.write(b"250 " + line)
            await self._writer.drain()

    assert not issubclass(SMTP, asyncio.StreamReaderProtocol)
    converse(lambda: Reads(Sink()), "S: 220 ...\nC: READ\nS: 354 go on\nC: words\nS: 250 words")


def test_m_37_the_greeting_names_the_version() -> None:
    greeting = f"S: 220 mx.example Python SMTP {aiosmtpd.__version__}"
    converse(lambda: SMTP(Sink(), hostname="mx.example"), greeting)
    assert aiosmtpd.__version__.startswith("2.")


def test_m_38_a_warning_names_the_version_that_comes_next() -> None:
    class Old:
        async def handle_EHLO(
            self, server: SMTP, session: Session, envelope: Any, name: str
        ) -> str:
            session.host_name = name
            return "250 HELP"

    with pytest.warns(DeprecationWarning, match="will be removed in version 3"):
        converse(lambda: SMTP(Old()), "S: 220 ...\nC: EHLO x\nS: 250-...\nS: ...\nS: 250 HELP")


# -- the command line -----------------------------------------------------------------------------


def test_m_56_asyncio_comes_with_the_first_controller() -> None:
    program = """
import sys
import aiosmtpd.controller
before = {"asyncio", "ssl", "aiosmtpd.server"} & sys.modules.keys()
aiosmtpd.controller.Controller(object())
after = {"asyncio", "ssl", "aiosmtpd.server"} - sys.modules.keys()
sys.exit(1 if before or after else 0)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_m_57_vars_holds_what_the_program_set() -> None:
    server = SMTP(Sink(), hostname="mx.example")
    assert vars(server) == {}
    server.mine = 1  # type: ignore[attr-defined]
    server.hostname = "other.example"
    assert vars(server) == {"mine": 1}
    with pytest.raises(TypeError, match="lay-out"):
        type("Server", (SMTP, type("Other", (), {"__slots__": ("theirs",)})), {})


@pytest.mark.parametrize(
    ("arguments", "status"), [("-n -c no.such.Class", 1), ("-n -l 192.0.2.1:0", 1), ("-n -s -5", 2)]
)
def test_m_39_wrong_input_is_one_line(arguments: str, status: int) -> None:
    program = [sys.executable, "-m", "aiosmtpd", *arguments.split()]
    ended = subprocess.run(program, check=False, capture_output=True, text=True)
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr
    [error] = [line for line in ended.stderr.splitlines() if line.startswith("aiosmtpd: error: ")]
    assert status == 2 or ended.stderr == f"{error}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_m_39_sigterm_ends_it_cleanly() -> None:
    program = [sys.executable, "-u", "-m", "aiosmtpd", "-n", "-l", "127.0.0.1:0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "127.0.0.1" in process.stderr.readline()  # it listens, and tells its port
        process.terminate()
        assert process.wait(20) == 0


def test_m_40_uvloop_is_taken_where_it_is_installed() -> None:
    assert _loop_factory("asyncio", embedded=False) is asyncio.new_event_loop
    uvloop = pytest.importorskip("uvloop")
    assert _loop_factory("auto", embedded=False) is uvloop.new_event_loop


def test_m_49_the_handler_is_made_when_the_address_is_bound(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    def __init__(self): print('made')\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        program = [sys.executable, "-m", "aiosmtpd", "-n", "-l", where, "-c", "mine.Mine"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        ended = subprocess.run(
            program, check=False, capture_output=True, text=True, env=environment, timeout=20
        )
    assert ended.returncode == 1
    assert "cannot listen on" in ended.stderr
    assert ended.stdout == ""
