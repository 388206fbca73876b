"""What programs written for 1.4 find in aiosmtpd.controller."""

from __future__ import annotations

import asyncio
import errno
import inspect
import ssl
from types import TracebackType
from typing import Any, ClassVar

import pytest

from aiosmtpd import controller
from aiosmtpd.handlers import Sink

NAMES_OF_1_4 = [
    "DEFAULT_READY_TIMEOUT",
    "IP6_IS",
    "SMTP",
    "BaseController",
    "BaseThreadedController",
    "BaseUnthreadedController",
    "Controller",
    "InetMixin",
    "UnixSocketController",
    "UnixSocketMixin",
    "UnixSocketUnthreadedController",
    "UnthreadedController",
    "_FakeServer",
    "_has_ipv6",
    "_server_to_client_ssl_ctx",
    "get_localhost",
]


@pytest.mark.parametrize("name", NAMES_OF_1_4)
def test_the_name_is_there(name: str) -> None:
    assert hasattr(controller, name)


def test_what_is_public_exists() -> None:
    assert sorted(set(controller.__all__)) == sorted(controller.__all__)
    for name in controller.__all__:
        assert hasattr(controller, name)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (controller.Controller, ("handler", "hostname", "port", "loop")),
        (controller.UnthreadedController, ("handler", "hostname", "port", "loop")),
        (controller.UnixSocketController, ("handler", "unix_socket", "loop")),
        (controller.UnixSocketUnthreadedController, ("handler", "unix_socket", "loop")),
        (controller.BaseController.cancel_tasks, ("self", "stop_loop")),
        (controller.BaseThreadedController.stop, ("self", "no_assert")),
        (controller.BaseThreadedController._run, ("self", "ready_event")),
    ],
)
def test_positional_arguments_are_those_of_1_4(call: Any, arguments: tuple[str, ...]) -> None:
    parameters = inspect.signature(call).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert tuple(positional) == arguments


def test_defaults_are_those_of_1_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIOSMTPD_CONTROLLER_TIMEOUT", raising=False)
    made = controller.Controller(Sink())
    assert made.hostname == controller.get_localhost()
    assert made.port == 8025
    assert made.ready_timeout == controller.DEFAULT_READY_TIMEOUT == 5.0
    assert made.ssl_context is None
    assert controller.Controller(Sink(), "").hostname == ""
    assert controller.Controller(Sink(), "localhost").hostname == "localhost"


def test_which_bases_are_abstract() -> None:
    with pytest.raises(TypeError, match="_create_server"):
        controller.BaseController(Sink())  # type: ignore[abstract]
    with pytest.raises(TypeError, match="_trigger_server"):
        controller.BaseThreadedController(Sink())  # type: ignore[abstract]
    assert controller.InetMixin(Sink()).port == 8025
    assert controller.UnixSocketMixin(Sink(), "smtp").unix_socket == "smtp"


class FakeSocket:
    """A socket whose bind() fails as it is told to."""

    number: ClassVar[int | None] = None

    def __init__(self, *args: object) -> None:
        pass

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def bind(self, address: object) -> None:
        if self.number is not None:
            raise OSError(self.number, "as told")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, "::1"),
        (errno.EADDRINUSE, "::1"),
        (errno.EADDRNOTAVAIL, "127.0.0.1"),
        (errno.EAFNOSUPPORT, "127.0.0.1"),
    ],
)
def test_localhost_is_what_can_be_bound(
    number: int | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "makesock", FakeSocket)
    monkeypatch.setattr(controller, "has_ipv6", True)
    monkeypatch.setattr(FakeSocket, "number", number)
    assert controller.get_localhost() == expected


def test_localhost_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "has_ipv6", False)
    assert controller.get_localhost() == "127.0.0.1"


def test_what_an_error_tells_of_ipv6_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "makesock", FakeSocket)
    monkeypatch.setattr(controller, "has_ipv6", True)
    monkeypatch.setattr(FakeSocket, "number", errno.EPERM)
    with pytest.raises(PermissionError):
        controller.get_localhost()
    monkeypatch.setattr(controller.IP6_IS, "NO", {errno.EPERM})
    assert controller.get_localhost() == "127.0.0.1"


def test_a_context_to_connect_to_ourselves_checks_nothing() -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs = controller._server_to_client_ssl_ctx(ours)  # type: ignore[attr-defined]
    assert theirs is not ours
    assert theirs.protocol == ssl.PROTOCOL_TLS_CLIENT
    assert not theirs.check_hostname
    assert theirs.verify_mode == ssl.CERT_NONE


def test_a_fake_server_is_made_with_the_loop() -> None:
    loop = asyncio.new_event_loop()
    fake = controller._FakeServer(loop)  # type: ignore[attr-defined]
    assert isinstance(fake, asyncio.Protocol)
    loop.close()
