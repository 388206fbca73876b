"""A controller that listens on a socket of the program's own."""

from __future__ import annotations

import smtplib
import socket

import pytest

from aiosmtpd.controller import Controller, UnthreadedController
from aiosmtpd.handlers import Sink


class Unbound(Controller):
    """Gives a socket with an option set, and leaves the binding to the controller."""

    made: socket.socket

    def make_socket(self) -> socket.socket:
        self.made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return self.made


class Bound(Controller):
    """Gives a socket that is bound already."""

    made: socket.socket

    def make_socket(self) -> socket.socket:
        self.made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.made.bind(("127.0.0.1", 0))
        return self.made


@pytest.mark.parametrize("kind", [Unbound, Bound])
def test_a_socket_of_ones_own(kind: type[Unbound] | type[Bound]) -> None:
    with kind(Sink(), hostname="127.0.0.1", port=0) as controller:
        assert controller.port == controller.made.getsockname()[1] != 0
        with smtplib.SMTP("127.0.0.1", controller.port) as client:
            assert client.noop()[0] == 250


def test_none_stands_for_the_sockets_of_the_controller() -> None:
    controller = UnthreadedController(Sink(), hostname="127.0.0.1", port=0)
    assert controller.make_socket() is None


def test_a_socket_of_another_family_is_an_error() -> None:
    with pytest.raises(OSError, match="no address of the socket's family"):
        Unbound(Sink(), hostname="::1", port=0).start()
