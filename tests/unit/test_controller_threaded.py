"""The threaded controllers: a server in a thread, for programs that are not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import smtplib
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.addresses import OWN_ADDRESS

from aiosmtpd.controller import Controller, UnixSocketController
from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.server import Server, Unavailable
from aiosmtpd.smtp import SMTP, Envelope, Session

NewLoop = Callable[[], asyncio.AbstractEventLoop]

needs_unix = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets here")


@pytest.fixture(params=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    """Make event loops, of asyncio and of uvloop."""
    if request.param == "asyncio":
        return asyncio.new_event_loop
    uvloop: Any = pytest.importorskip("uvloop")
    factory: NewLoop = uvloop.new_event_loop
    return factory


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Check that each thread was joined, and that each socket and loop was closed."""
    before = set(threading.enumerate())
    yield
    # What another test has left behind may well end during this one.
    assert set(threading.enumerate()) <= before
    gc.collect()


def deliver(controller: Controller) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(controller.hostname, controller.port, timeout=20) as client:
        return client.sendmail("a@test", ["b@test"], "Subject: test\r\n\r\nHello\r\n")


class Keeper:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.contents: list[bytes | str | None] = []
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.contents.append(envelope.content)
        self.loops.append(asyncio.get_running_loop())
        return "250 OK"


# -- starting and stopping ---------------------------------------------------------------------------


def test_a_controller_receives_mail(new_loop: NewLoop) -> None:
    keeper = Keeper()
    loop = new_loop()
    controller = Controller(keeper, port=0, loop=loop)
    controller.start()
    try:
        assert deliver(controller) == {}
    finally:
        controller.stop()
    assert keeper.contents == [b"Subject: test\r\n\r\nHello\r\n"]
    assert keeper.loops == [loop]
    assert loop.is_closed()


def test_a_controller_is_a_context_manager() -> None:
    with Controller(Sink(), OWN_ADDRESS, 0) as controller:
        assert deliver(controller) == {}
        thread = controller._thread
        assert thread is not None
        assert thread.daemon
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        deliver(controller)


def test_a_controller_may_be_stopped_within_its_context() -> None:
    with Controller(Sink(), port=0) as controller:
        controller.stop()


def test_leaving_by_an_exception_stops_the_controller() -> None:
    with pytest.raises(ZeroDivisionError), Controller(Sink(), port=0) as controller:
        raise ZeroDivisionError
    assert controller.server is None


def test_what_is_to_be_seen_while_it_runs_and_after() -> None:
    controller = Controller(Sink(), port=0)
    assert controller.server is None
    assert controller.smtpd is None
    assert controller.port == 0
    with controller:
        server = controller.server
        assert isinstance(server, Server)
        assert [sock.getsockname()[1] for sock in server.sockets] == [controller.port]
        first: Any = controller.smtpd
        assert isinstance(first, SMTP)
        assert first.loop is controller.loop
        assert first.event_handler is controller.handler
        deliver(controller)
        second: Any = controller.smtpd
        assert isinstance(second, SMTP)
        assert second is not first
        assert controller._thread_exception is None
    assert controller.server is None
    assert controller.smtpd is None
    assert controller.server_coro is None
    assert controller._thread is None
    assert controller.loop.is_closed()


def test_a_controller_can_be_started_again() -> None:
    controller = Controller(Sink(), OWN_ADDRESS, 0)
    ports = []
    for _ in range(3):
        with controller:
            assert deliver(controller) == {}
            ports.append(controller.port)
    assert len(set(ports)) == 1


def test_a_loop_that_was_given_serves_once() -> None:
    controller = Controller(Sink(), port=0, loop=asyncio.new_event_loop())
    with controller:
        pass
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        controller.start()


def test_a_loop_may_be_set() -> None:
    controller = Controller(Sink(), port=0)
    controller.loop = loop = asyncio.new_event_loop()
    with controller:
        assert controller.loop is loop
    assert loop.is_closed()


def test_a_controller_that_was_never_started_holds_nothing() -> None:
    Controller(Sink())
    gc.collect()  # an event loop would be missed


def test_starting_twice_is_an_error() -> None:
    with Controller(Sink(), port=0) as controller:
        with pytest.raises(AssertionError, match="SMTP daemon already running"):
            controller.start()
        assert deliver(controller) == {}


def test_stopping_what_does_not_run_is_an_error_unless_told_otherwise() -> None:
    controller = Controller(Sink(), port=0)
    with pytest.raises(AssertionError, match="SMTP daemon not running"):
        controller.stop()
    controller.stop(no_assert=True)
    with controller:
        pass
    with pytest.raises(AssertionError, match="SMTP daemon not running"):
        controller.stop()


def test_starting_makes_no_connection() -> None:
    made: list[asyncio.BaseTransport] = []

    class Watched(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)
            super().connection_made(transport)

    class WatchedController(Controller):
        def factory(self) -> SMTP:
            return Watched(self.handler)

    with WatchedController(Sink(), port=0):
        pass
    assert made == []


def test_starting_under_the_proxy_protocol_waits_for_nobody() -> None:
    # Whoever waits here waits longer than any test may take.
    with Controller(Sink(), port=0, proxy_protocol_timeout=3600, ready_timeout=3600):
        pass


# -- what cannot be started --------------------------------------------------------------------------


def test_a_port_in_use_is_an_error_at_once(new_loop: NewLoop) -> None:
    with socket.create_server((OWN_ADDRESS, 0)) as taken:
        port = taken.getsockname()[1]
        # Whoever waits here waits longer than any test may take.
        controller = Controller(Sink(), OWN_ADDRESS, port, loop=new_loop(), ready_timeout=3600)
        with pytest.raises(OSError, match="in use") as caught:
            controller.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert controller._thread_exception is caught.value
        controller.stop()
    assert controller._thread_exception is None
    assert controller._thread is None
    # The loop was not used up: it is its owner's, who may try again.
    assert not controller.loop.is_closed()
    with controller:
        assert deliver(controller) == {}


def test_a_late_stop_does_not_disturb_what_else_runs_in_the_loop() -> None:
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        controller = Controller(Sink(), "127.0.0.1", taken.getsockname()[1], loop=loop)
        with pytest.raises(OSError, match="in use"):
            controller.start()
        controller.stop()

    async def undisturbed() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    assert loop.run_until_complete(undisturbed()) == "done"
    loop.close()


@pytest.mark.parametrize("in_context", [False, True])
def test_an_exception_of_the_factory_is_raised_by_start(in_context: bool) -> None:
    class Failing(Controller):
        def factory(self) -> SMTP:
            raise ZeroDivisionError("no factory")

    controller = Failing(Sink(), port=0)
    with pytest.raises(ZeroDivisionError, match="no factory"):
        if in_context:
            with controller:
                pass
        else:
            controller.start()
    if not in_context:
        assert controller.server is not None  # it stays to be looked at
        assert controller.smtpd is None
        controller.stop()
    assert controller.server is None


def test_a_wrong_parameter_is_an_error_of_start() -> None:
    controller = Controller(Sink(), port=0, no_such_parameter=1)
    with pytest.raises(TypeError, match="no_such_parameter"), controller:
        pass


def test_a_factory_that_gives_none_is_an_error() -> None:
    class Forgetful(Controller):
        def factory(self) -> Any:
            return None

    with pytest.raises(RuntimeError, match=r"factory\(\) returned None"):
        Forgetful(Sink(), port=0).__enter__()


def test_a_factory_that_fails_later_sends_the_client_away(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Controller):
        failing = False

        def factory(self) -> SMTP:
            if self.failing:
                raise ZeroDivisionError("no factory any more")
            return super().factory()

    with Failing(Sink(), port=0, loop=new_loop()) as controller:
        controller.failing = True
        with pytest.raises(smtplib.SMTPConnectError) as caught:
            deliver(controller)
        assert caught.value.smtp_code == 421
        assert "no factory any more" in caplog.text
        controller.failing = False
        assert deliver(controller) == {}
    assert controller.loop.is_closed()


def test_a_factory_that_takes_too_long_is_a_timeout() -> None:
    released = threading.Event()

    class Slow(Controller):
        def _trigger_server(self) -> None:
            self.ready_timeout = 0.05  # not before: to begin to listen may take its time
            super()._trigger_server()

        def factory(self) -> SMTP:
            released.wait(20)
            return super().factory()

    controller = Slow(Sink(), port=0)
    with pytest.raises(TimeoutError) as caught:
        controller.start()
    assert str(caught.value) == (
        "SMTP server started, but not responding within allotted time. This might happen if the "
        "system is too busy. Try increasing the `ready_timeout` parameter."
    )
    released.set()
    controller.stop()


def test_a_server_that_takes_too_long_is_a_timeout() -> None:
    released = threading.Event()

    class Slow(Controller):
        def _run(self, ready_event: threading.Event) -> None:
            released.wait(20)
            super()._run(ready_event)

    controller = Slow(Sink(), port=0, ready_timeout=0.05)
    with pytest.raises(TimeoutError) as caught:
        controller.start()
    assert str(caught.value) == (
        "SMTP server failed to start within allotted time. This might happen if the system is too "
        "busy. Try increasing the `ready_timeout` parameter."
    )
    release = threading.Timer(0.01, released.set)
    release.start()
    controller.stop()
    release.join()


def test_stopping_interrupts_a_server_that_is_being_made() -> None:
    class Stuck(Controller):
        def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
            return self.never()

        async def never(self) -> asyncio.AbstractServer:
            await asyncio.Event().wait()
            raise AssertionError

    controller = Stuck(Sink(), port=0, ready_timeout=0.05)
    with pytest.raises(TimeoutError, match="failed to start"):
        controller.start()
    controller.stop()
    assert controller.loop.is_closed()


@pytest.mark.parametrize(("variable", "expected"), [(None, 3.5), ("7.5", 7.5)])
def test_the_environment_outdoes_ready_timeout(
    variable: str | None, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIOSMTPD_CONTROLLER_TIMEOUT", raising=False)
    if variable is not None:
        monkeypatch.setenv("AIOSMTPD_CONTROLLER_TIMEOUT", variable)
    assert Controller(Sink(), ready_timeout=3.5).ready_timeout == expected


# -- what subclasses replace -------------------------------------------------------------------------


def test_the_steps_are_those_of_1_4() -> None:
    steps: list[tuple[str, bool]] = []

    def note(step: str) -> None:
        steps.append((step, threading.current_thread() is threading.main_thread()))

    class Watched(Controller):
        def _run(self, ready_event: threading.Event) -> None:
            note("_run")
            super()._run(ready_event)

        def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
            note("_create_server")
            return super()._create_server()

        def _trigger_server(self) -> None:
            assert self.server is not None
            note("_trigger_server")
            super()._trigger_server()

        def _factory_invoker(self) -> Any:
            note("_factory_invoker")
            return super()._factory_invoker()

        def factory(self) -> SMTP:
            note("factory")
            return super().factory()

        def cancel_tasks(self, stop_loop: bool = True) -> None:
            note("cancel_tasks")
            super().cancel_tasks(stop_loop)

        def _cleanup(self) -> None:
            note("_cleanup")
            super()._cleanup()

    with Watched(Sink(), port=0):
        note("running")
    assert steps == [
        ("_run", False),
        ("_create_server", False),
        ("_trigger_server", True),
        ("_factory_invoker", False),
        ("factory", False),
        ("running", True),
        ("cancel_tasks", False),
        ("_cleanup", True),
    ]


def test_a_factory_may_make_another_server() -> None:
    class LMTPController(Controller):
        def factory(self) -> SMTP:
            return LMTP(self.handler, hostname="lmtp.test")

    with (
        LMTPController(Sink(), port=0) as controller,
        smtplib.LMTP(controller.hostname, controller.port) as client,
    ):
        assert client.sendmail("a@test", ["b@test"], "Subject: test\r\n\r\n") == {}


def test_an_override_may_still_connect_to_the_server() -> None:
    greetings = []

    class Connecting(Controller):
        def _trigger_server(self) -> None:
            with socket.create_connection((self.hostname, self.port), timeout=20) as client:
                greetings.append(client.recv(1000))

    with Connecting(Sink(), port=0, server_hostname="mx.test") as controller:
        assert controller.smtpd is not None
        assert controller.smtpd.session.peer is not None
    assert greetings[0].startswith(b"220 mx.test ")


def test_an_exception_of_trigger_server_is_raised_by_start() -> None:
    class Failing(Controller):
        def _trigger_server(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Failing(Sink(), port=0).__enter__()


@pytest.mark.parametrize("method", ["_factory_invoker", "factory"])
def test_an_override_may_make_the_server_in_another_way(method: str, new_loop: NewLoop) -> None:
    class Own(Controller):
        def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
            sock = socket.create_server((OWN_ADDRESS, 0))
            self.port = sock.getsockname()[1]
            return self.loop.create_server(getattr(self, method), sock=sock)

    with Own(Sink(), OWN_ADDRESS, 0, loop=new_loop()) as controller:
        assert deliver(controller) == {}
        idle = socket.create_connection((OWN_ADDRESS, controller.port), timeout=20)
        assert idle.recv(1000).startswith(b"220 ")
    with idle:
        farewell = b"421 4.3.2 Server shutting down\r\n" if method == "_factory_invoker" else b""
        assert idle.recv(1000) == farewell
    with pytest.raises(ConnectionRefusedError):
        deliver(controller)


def test_an_override_may_run_the_loop_itself() -> None:
    class Own(Controller):
        def _run(self, ready_event: threading.Event) -> None:
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(self._create_server())
            self.loop.call_soon(ready_event.set)
            self.loop.run_forever()
            self.server.close()
            self.loop.run_until_complete(self.server.wait_closed())
            self.loop.close()

    with Own(Sink(), port=0) as controller:
        assert deliver(controller) == {}


def test_a_thread_that_ends_too_early_is_not_waited_for() -> None:
    class Hasty(Controller):
        def _run(self, ready_event: threading.Event) -> None:
            self.loop.close()

    controller = Hasty(Sink(), port=0, ready_timeout=0.05)
    with pytest.raises(TimeoutError):
        controller.start()
    controller.stop()


def test_an_invoker_that_fails_is_an_error_of_start() -> None:
    class Failing(Controller):
        def _factory_invoker(self) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Failing(Sink(), port=0).__enter__()


def test_an_invoker_that_makes_no_server_is_an_error_of_start() -> None:
    class Faking(Controller):
        def _factory_invoker(self) -> Any:
            return Unavailable(self.loop)

    with pytest.raises(RuntimeError, match="Unknown Error, failed to init SMTP server"):
        Faking(Sink(), port=0).__enter__()


def test_a_controller_may_be_stopped_from_its_loop() -> None:
    """As programs do that call ``loop.call_soon_threadsafe(controller.cancel_tasks)``."""
    controller = Controller(Sink(), port=0)
    controller.start()
    thread = controller._thread
    assert thread is not None
    client = smtplib.SMTP(controller.hostname, controller.port, timeout=20)
    controller.loop.call_soon_threadsafe(controller.cancel_tasks)
    thread.join(20)
    assert not thread.is_alive()
    controller.stop()
    client.close()


# -- the end of connections --------------------------------------------------------------------------


def test_an_idle_client_is_told_that_the_server_stops(new_loop: NewLoop) -> None:
    with Controller(Sink(), port=0, loop=new_loop()) as controller:
        client = smtplib.SMTP(controller.hostname, controller.port, timeout=20)
        client.ehlo("there")
    assert client.getreply() == (421, b"4.3.2 Server shutting down")
    client.close()


class Gate:
    """A handler that takes a message when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.cancelled = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.entered.set()
        try:
            while not self.opened.is_set():
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "250 taken"


def _send(port: int, results: list[object]) -> None:
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as client:
        client.sendall(b"HELO a\r\nMAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\nDATA\r\n")
        stream = client.makefile("rb")
        while not stream.readline().startswith(b"354"):
            pass
        client.sendall(b"Subject: test\r\n\r\n.\r\n")
        with contextlib.suppress(ConnectionResetError):
            results.append(stream.read())
        stream.close()


@pytest.mark.parametrize(
    ("drain_timeout", "expected"),
    [(3600, b"250 taken\r\n421 4.3.2 Server shutting down\r\n"), (0.05, b"")],
)
def test_a_command_that_runs_has_its_time(
    drain_timeout: float, expected: bytes, new_loop: NewLoop
) -> None:
    gate = Gate()
    results: list[object] = []
    with Controller(
        gate, hostname="127.0.0.1", port=0, loop=new_loop(), drain_timeout=drain_timeout
    ) as controller:
        client = threading.Thread(target=_send, args=(controller.port, results))
        client.start()
        assert gate.entered.wait(20)
        opening = threading.Timer(0.05, gate.opened.set)
        if expected:
            opening.start()
    client.join(20)
    if expected:
        opening.join()
    assert results in ([expected], [])
    assert results == [expected] or not expected
    assert gate.cancelled is not bool(expected)


def test_tasks_of_the_program_are_cancelled(new_loop: NewLoop) -> None:
    ended = threading.Event()

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    class Busy(Sink):
        async def handle_NOOP(self, server: SMTP, *args: object) -> str:
            self.task = asyncio.create_task(background())
            return "250 OK"

    with (
        Controller(Busy(), port=0, loop=new_loop()) as controller,
        smtplib.SMTP(controller.hostname, controller.port, timeout=20) as client,
    ):
        client.noop()
    assert ended.is_set()


# -- parameters --------------------------------------------------------------------------------------


def test_parameters_go_to_smtp() -> None:
    controller = Controller(
        Sink(), port=0, server_hostname="mx.test", ident="Ident", enable_SMTPUTF8=False
    )
    assert controller.SMTP_kwargs == {
        "enable_SMTPUTF8": False,
        "ident": "Ident",
        "hostname": "mx.test",
    }
    with controller, smtplib.SMTP(timeout=20) as client:
        assert client.connect(controller.hostname, controller.port) == (220, b"mx.test Ident")
        client.ehlo("there")
        assert not client.has_extn("smtputf8")


def test_smtputf8_is_on_unless_told_otherwise() -> None:
    assert Controller(Sink()).SMTP_kwargs == {"enable_SMTPUTF8": True}


def test_server_kwargs_are_deprecated_and_outdone_by_parameters() -> None:
    with pytest.warns(DeprecationWarning, match="server_kwargs") as caught:
        controller = Controller(
            Sink(), timeout=200, server_kwargs={"timeout": 400, "data_size_limit": 5}
        )
    assert caught[0].filename == __file__
    assert controller.SMTP_kwargs == {
        "enable_SMTPUTF8": True,
        "timeout": 200,
        "data_size_limit": 5,
    }


def test_tls_from_the_first_octet(
    new_loop: NewLoop, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    with Controller(Sink(), port=0, ssl_context=server_context, loop=new_loop()) as controller:
        with smtplib.SMTP_SSL(
            controller.hostname, controller.port, context=client_context, timeout=20
        ) as client:
            assert client.ehlo("there")[0] == 250
            assert not client.has_extn("starttls")
        idle = smtplib.SMTP_SSL(
            controller.hostname, controller.port, context=client_context, timeout=20
        )
    assert idle.getreply()[0] == 421
    idle.close()


# -- Unix sockets ------------------------------------------------------------------------------------


def _greeting(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(path)
        return client.recv(1000)


@needs_unix
@pytest.mark.parametrize("kind", [str, Path])
def test_a_unix_socket(kind: type[Any], tmp_path: Path, new_loop: NewLoop) -> None:
    path = str(tmp_path / "smtp")
    with UnixSocketController(Sink(), kind(path), loop=new_loop()) as controller:
        assert controller.unix_socket == path
        assert _greeting(path).startswith(b"220 ")
        assert controller.smtpd is not None
    assert not os.path.exists(path)


@needs_unix
def test_a_unix_socket_in_use_is_an_error_and_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "smtp")
    with UnixSocketController(Sink(), path):
        with pytest.raises(OSError, match="in use"):
            UnixSocketController(Sink(), path).__enter__()
        assert _greeting(path).startswith(b"220 ")


@needs_unix
def test_the_unix_socket_of_a_server_that_died_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "smtp")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with UnixSocketController(Sink(), path):
        assert _greeting(path).startswith(b"220 ")
