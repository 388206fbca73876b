"""Drive the engine without asyncio: a server of one thread per client, on blocking sockets.

The engine cuts octets into commands and bodies, knows the grammar, the order of commands and how
replies look. What is left to do is here: read, decide, write. Every driver has this shape::

    $ python examples/engine_without_io.py
"""

import contextlib
import socketserver
import sys
from dataclasses import dataclass, field

from aiosmtpd.protocol import (
    Body,
    BodyIncomplete,
    Command,
    Connection,
    ConnectionClosed,
    Event,
    ProtocolError,
    phase_of,
    refusal,
)
from aiosmtpd.protocol.grammar import parse_forward_path, parse_reverse_path


@dataclass
class Session:
    host_name: str | None = None


@dataclass
class Envelope:
    mail_from: str | None = None
    rcpt_tos: list[str] = field(default_factory=list)


class Conversation:
    """What the client said so far, and what is answered to it; it knows no socket."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.session = Session()
        self.envelope = Envelope()
        self.messages: list[tuple[Envelope, bytes]] = []

    def answer(self, event: Event) -> str:
        if isinstance(event, Body):
            self.messages.append((self.envelope, event.content))
            self.envelope = Envelope()
            return "250 OK"
        assert isinstance(event, Command)
        refused = refusal(event.verb, phase_of(self.session, self.envelope))
        if refused is not None:
            return refused
        argument = event.argument or ""
        match event.verb:
            case "HELO" if argument:
                self.session.host_name = argument
                self.envelope = Envelope()
            case "MAIL" if argument.upper().startswith("FROM:"):
                self.envelope.mail_from, _ = parse_reverse_path(argument[5:])
            case "RCPT" if argument.upper().startswith("TO:"):
                self.envelope.rcpt_tos.append(parse_forward_path(argument[3:])[0])
            case "DATA":
                self.connection.expect_body(size_limit=2**20)
                return "354 End data with <CR><LF>.<CR><LF>"
            case "RSET":
                self.envelope = Envelope()
            case "NOOP":
                pass
            case "QUIT":
                self.connection.end()
                return "221 Bye"
            case _:
                return "500 Error: bad syntax"
        return "250 OK"

    def feed(self, octets: bytes) -> bytes:
        """Take what came, ``b""`` for the end of it; give what to send."""
        if octets:
            self.connection.receive_data(octets)
        else:
            self.connection.receive_eof()
        replies = b""
        while True:
            try:
                event = self.connection.next_event()
                if event is None or isinstance(event, ConnectionClosed):
                    return replies + self.connection.flush()
                replies += self.connection.send(self.answer(event))
            except BodyIncomplete:
                continue  # nobody is left to answer
            except ProtocolError as fault:
                replies += self.connection.send(fault.reply)


class Client(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        conversation = Conversation()
        self.request.sendall(b"220 engine_without_io\r\n")
        while not conversation.connection.eof:
            self.request.sendall(conversation.feed(self.request.recv(65536)))
            while conversation.messages:
                envelope, content = conversation.messages.pop(0)
                print(f"{envelope.mail_from} to {envelope.rcpt_tos}: {content!r}", flush=True)


def main(port: int = 8025) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Client) as server:
        server.daemon_threads = True
        print(f"listening on port {server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*map(int, sys.argv[1:]))
