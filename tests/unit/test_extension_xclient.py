"""XCLIENT: who may send it, what it may say, and what the session is afterwards."""

from __future__ import annotations

import logging
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.conversations import play

from aiosmtpd.extensions import BUILT_IN, DEFAULT, XClient
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import reply as replies
from aiosmtpd.protocol.grammar import encode_xtext
from aiosmtpd.smtp import SMTP

if TYPE_CHECKING:
    from tests.unit.conftest import Connect, Wire

LISTED = ("192.0.2.1", 2525)
EXTENSIONS = (*DEFAULT, XClient(networks=["192.0.2.0/24", "2001:db8::/32"]))
ON = {"extensions": EXTENSIONS, "ident": "Ident"}
FROM_LISTED: dict[str, Any] = {**ON, "extra": {"peername": LISTED}}
LINE = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
SYNTAX = "501 5.5.4 Syntax: XCLIENT attribute=value..."
DENIED = "550 5.7.0 Error: insufficient authorization"
BUSY = "503 5.5.1 Error: mail transaction in progress"
GREETING = "220 mx.example Ident"


class Tells:
    """Answers NOOP with what the session says."""

    async def handle_NOOP(self, server: Any, session: Any, envelope: Any, arg: Any) -> str:
        return "250 " + " ".join(
            str(value)
            for value in (
                session.peer,
                session.host_name,
                session.extended_smtp,
                session.authenticated,
                session.auth_identity,
            )
        )


def told(
    peer: object = LISTED,
    helo: str | None = None,
    esmtp: bool = False,
    login: str | None = None,
) -> str:
    return f"250 {peer} {helo} {esmtp} {login is not None or None} {login}"


# -- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "arguments", "listed"),
    [
        (LISTED, {}, True),
        (("2001:db8::9", 1, 0, 0), {}, True),
        (("::ffff:192.0.2.9", 1, 0, 0), {}, True),
        (("192.0.3.1", 1), {}, False),
        (("::1", 1, 0, 0), {}, False),
        ("", {}, False),
        ("/run/client", {}, False),
        (None, {}, False),
        ("", {"unix_sockets": True}, True),
        ("/run/client", {"unix_sockets": True}, True),
        (LISTED, {"unix_sockets": True}, True),
        (("192.0.3.1", 1), {"unix_sockets": True}, False),
        (None, {"unix_sockets": True}, False),
    ],
)
def test_who_may_send_it(
    connect: Connect, peer: Any, arguments: dict[str, bool], listed: bool
) -> None:
    extension = XClient(["192.0.2.0/24", "2001:db8::/32"], **arguments)
    wire = connect(extensions=(extension,), ident="Ident", extra={"peername": peer})
    assert (LINE in wire.ehlo()) is listed
    assert wire.say("XCLIENT ADDR=198.51.100.7") == [GREETING if listed else DENIED]
    assert (wire.server.session.peer == ("198.51.100.7", 0)) is listed


def test_who_may_not_is_told_nothing_else() -> None:
    play(
        [
            b"XCLIENT\r\n",
            DENIED,
            b"XCLIENT FOO=bar\r\n",
            DENIED,
            b"HELO c.example\r\nMAIL FROM:<a@b>\r\nXCLIENT HELO=x\r\n",
            "250 mx.example",
            "250 OK",
            DENIED,
            b"RCPT TO:<c@d>\r\n",
            "250 OK",
        ],
        **ON,
        extra={"peername": ("198.51.100.1", 1)},
    )


@pytest.mark.parametrize("claimed", ["198.51.100.1", "[UNAVAILABLE]"])
def test_what_it_says_neither_gives_nor_takes_the_right_to_say_it(
    connect: Connect, claimed: str
) -> None:
    wire = connect(**FROM_LISTED)
    assert wire.say(f"XCLIENT ADDR={claimed}") == [GREETING]
    assert LINE in wire.ehlo()
    assert wire.say("XCLIENT ADDR=198.51.100.2") == [GREETING]
    other = connect(**ON, extra={"peername": ("198.51.100.1", 1)})
    other.server.session.host_name = "c.example"
    assert other.say("XCLIENT ADDR=192.0.2.1", "XCLIENT ADDR=192.0.2.1") == [DENIED] * 2


@pytest.mark.parametrize("believes", [False, True])
@pytest.mark.parametrize("arguments", [{"proxy_protocol_timeout": 5}, {"proxy_networks": ["::/0"]}])
@pytest.mark.parametrize(("client", "listed"), [("203.0.113.1", False), ("192.0.2.7", True)])
def test_behind_a_proxy_it_is_the_client_who_counts(
    connect: Connect, arguments: dict[str, Any], client: str, listed: bool, believes: bool
) -> None:
    class Handler:
        async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: Any) -> bool:
            if believes:
                session.peer = data.source
            return True

    if "proxy_networks" in arguments:
        arguments = {"proxy_networks": ["192.0.2.1"]}
    wire = connect(Handler(), **arguments, **FROM_LISTED)
    wire.send(f"PROXY TCP4 {client} 192.0.2.9 1 2\r\n".encode())
    wire.heard()
    assert (LINE in wire.ehlo()) is listed
    # A second time, for then the peer is another.
    for _ in range(2):
        assert wire.say("XCLIENT ADDR=192.0.2.8") == [GREETING if listed else DENIED]


V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize(
    ("header", "listed"),
    [
        (b"PROXY UNKNOWN\r\n", False),
        (V2 + b"\x21\0\0\0", False),
        (V2 + b"\x20\0\0\0", True),  # LOCAL: the proxy speaks for itself
    ],
)
def test_a_client_that_the_proxy_does_not_name_is_not_the_proxy(
    connect: Connect, header: bytes, listed: bool
) -> None:
    wire = connect(proxy_networks=["192.0.2.1"], **FROM_LISTED)
    wire.send(header)
    wire.heard()
    assert (LINE in wire.ehlo()) is listed
    assert wire.say("XCLIENT ADDR=192.0.2.8") == [GREETING if listed else DENIED]


def test_a_unix_socket_that_a_proxy_tells_of_is_not_ours(connect: Connect) -> None:
    extension = XClient([], unix_sockets=True)
    wire = connect(extensions=(extension,), proxy_networks=["192.0.2.1"])
    wire.send(b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8" + b"/run/x".ljust(216, b"\0"))
    assert wire.server.session.peer == "/run/x"
    assert wire.say("XCLIENT ADDR=192.0.2.8")[-1] == DENIED


def test_the_list_must_be_one() -> None:
    with pytest.raises(ValueError, match=r"networks: 192\.0\.2\.1/24 has host bits set"):
        XClient(networks=["192.0.2.1/24"])
    with pytest.raises(TypeError, match="networks: a list of networks is needed"):
        XClient("192.0.2.1")
    assert "XCLIENT" not in BUILT_IN  # it cannot be made without its networks


# -- what it may say ------------------------------------------------------------------------------


GOOD = [
    ("NAME=client.example", {"NAME": "client.example"}),
    ("NAME=[UNAVAILABLE]", {"NAME": None}),
    ("NAME=[unavailable]", {"NAME": None}),
    ("NAME=[TempUnavail]", {"NAME": "[TEMPUNAVAIL]"}),
    ("NAME=+5BUNAVAILABLE+5D", {"NAME": None}),
    ("ADDR=198.51.100.7", {"ADDR": "198.51.100.7"}),
    ("ADDR=IPV6:2001:DB8::0:1", {"ADDR": "2001:db8::1"}),
    ("ADDR=ipv6:::ffff:192.0.2.1", {"ADDR": str(ip_address("::ffff:192.0.2.1"))}),
    ("ADDR=[Unavailable]", {"ADDR": None}),
    ("PORT=0", {"PORT": "0"}),
    ("PORT=65535", {"PORT": "65535"}),
    ("PORT=00025", {"PORT": "25"}),
    ("PORT=[UNAVAILABLE]", {"PORT": None}),
    ("PROTO=smtp", {"PROTO": "SMTP"}),
    ("PROTO=ESMTP", {"PROTO": "ESMTP"}),
    ("HELO=client.example", {"HELO": "client.example"}),
    ("HELO=[198.51.100.7]", {"HELO": "[198.51.100.7]"}),
    ("HELO=not+20a+20name", {"HELO": "not a name"}),
    ("HELO=[UNAVAILABLE]", {"HELO": None}),
    ("LOGIN=anne", {"LOGIN": "anne"}),
    ("LOGIN=anne+40example.com+3Dx+2By", {"LOGIN": "anne@example.com=x+y"}),
    ("LOGIN=[UNAVAILABLE]", {"LOGIN": None}),
    ("DESTADDR=192.0.2.25", {"DESTADDR": "192.0.2.25"}),
    ("DESTADDR=IPV6:::1", {"DESTADDR": "::1"}),
    ("DESTADDR=[UNAVAILABLE]", {"DESTADDR": None}),
    ("DESTPORT=25", {"DESTPORT": "25"}),
    ("DESTPORT=[UNAVAILABLE]", {"DESTPORT": None}),
    ("name=a.example  Addr=192.0.2.9 ", {"NAME": "a.example", "ADDR": "192.0.2.9"}),
    ("NAME=a.example NAME=b.example", {"NAME": "b.example"}),
    (f"NAME={'a.' * 126}bcd", {"NAME": "a." * 126 + "bcd"}),
    (f"HELO={'x' * 255}", {"HELO": "x" * 255}),
]


@pytest.mark.parametrize(("attributes", "expected"), GOOD)
@pytest.mark.parametrize("verb", ["XCLIENT", "xclient"])
def test_what_it_may_say(
    connect: Connect, verb: str, attributes: str, expected: dict[str, Any]
) -> None:
    wire = connect(**FROM_LISTED)
    assert wire.say(f"{verb} {attributes}") == [GREETING]
    assert wire.server.session.xclient == expected


BAD = [
    ("", SYNTAX),
    (" ", SYNTAX),
    (" NAME", "NAME"),
    (" NAME=", "NAME"),
    (" NAME= a.example", "NAME"),
    (" =a.example", None),
    (" FOO=bar", None),
    (" IDENT=x", None),
    (" NAME=a.example FOO=bar", None),
    (" FOO=bar NAME=@", None),
    (" NAME=192.0.2.1", "NAME"),
    (" NAME=IPV6:::1", "NAME"),
    (" NAME=a..example", "NAME"),
    (" NAME=-a.example", "NAME"),
    (" NAME=a+20b", "NAME"),
    (" NAME=" + "a." * 127 + "bc", "NAME"),
    (" NAME=[TEMPORARY]", "NAME"),
    (" NAME=a+2", "NAME"),
    (" NAME=a=b", "NAME"),
    (" NAME=a+b", "NAME"),
    (" ADDR=198.51.100.256", "ADDR"),
    (" ADDR=198.51.100", "ADDR"),
    (" ADDR=[198.51.100.7]", "ADDR"),
    (" ADDR=::1", "ADDR"),
    (" ADDR=IPV6:192.0.2.1", "ADDR"),
    (" ADDR=IPV6:::1%eth0", "ADDR"),
    (" ADDR=IPV6:", "ADDR"),
    (" ADDR=client.example", "ADDR"),
    (" ADDR=[TEMPUNAVAIL]", "ADDR"),
    (" ADDR=198.51.100.7+0D+0AQUIT", "ADDR"),
    (" PORT=65536", "PORT"),
    (" PORT=-1", "PORT"),
    (" PORT=+2B1", "PORT"),
    (" PORT=000025", "PORT"),
    (" PORT=smtp", "PORT"),
    (" PORT=+D9+A1", "PORT"),
    (" PROTO=LMTP", "PROTO"),
    (" PROTO=[UNAVAILABLE]", "PROTO"),
    (" HELO=a+0D+0Ab", "HELO"),
    (" HELO=a+00", "HELO"),
    (" HELO=+C3+A9", "HELO"),
    (" HELO=+FF", "HELO"),
    (f" HELO={'x' * 256}", "HELO"),
    (" LOGIN=anne+0A", "LOGIN"),
    (" DESTADDR=x", "DESTADDR"),
    (" DESTPORT=x", "DESTPORT"),
]


@pytest.mark.parametrize(("argument", "wrong"), BAD)
def test_what_it_may_not_say(connect: Connect, argument: str, wrong: str | None) -> None:
    wire = connect(Tells(), **FROM_LISTED)
    wire.say("HELO c.example")
    expected = f"501 5.5.4 Error: bad {wrong} attribute"
    if wrong is None:
        expected = "501 5.5.4 Error: unknown attribute"
    elif wrong == SYNTAX:
        expected = SYNTAX
    assert wire.say(f"XCLIENT{argument}") == [expected]
    # And nothing has changed by it.
    assert wire.say("NOOP") == [told(helo="c.example")]
    assert wire.server.session.xclient == {}


def test_utf8_where_it_is_enabled(connect: Connect) -> None:
    wire = connect(enable_SMTPUTF8=True, **FROM_LISTED)
    login = encode_xtext("änne")
    assert wire.say(f"XCLIENT NAME=exämple LOGIN={login}", "XCLIENT NAME=+C3+A9.example") == [
        "501 5.5.4 Error: bad NAME attribute",  # which is no xtext
        GREETING,
    ]
    assert wire.say(f"XCLIENT LOGIN={login}") == [GREETING]
    assert wire.server.session.auth_identity == "änne"


def test_a_line_that_is_too_long() -> None:
    play(
        [b"XCLIENT " + b"NAME=a.example " * 40 + b"\r\n", "500 Command line too long"],
        **FROM_LISTED,
    )


# -- what becomes of the session ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([], told()),
        (["NAME=a.example"], told()),
        (["ADDR=198.51.100.7"], told(("198.51.100.7", 0))),
        (["PORT=77"], told(("192.0.2.1", 77))),
        (["ADDR=198.51.100.7 PORT=77"], told(("198.51.100.7", 77))),
        (["PORT=77 ADDR=198.51.100.7"], told(("198.51.100.7", 77))),
        (["ADDR=IPV6:2001:DB8::1 PORT=77"], told(("2001:db8::1", 77))),
        (["ADDR=[UNAVAILABLE]"], told(("", 0))),
        (["ADDR=198.51.100.7 PORT=[UNAVAILABLE]"], told(("198.51.100.7", 0))),
        (["PORT=[UNAVAILABLE]"], told(("192.0.2.1", 0))),
        # In several commands: addresses stay.
        (["ADDR=198.51.100.7 PORT=77", "HELO=x"], told(("198.51.100.7", 77), "x")),
        (["ADDR=198.51.100.7", "PORT=77"], told(("198.51.100.7", 77))),
        (["ADDR=198.51.100.7 PORT=77", "ADDR=198.51.100.8"], told(("198.51.100.8", 77))),
        (["ADDR=198.51.100.7 PORT=77", "ADDR=[UNAVAILABLE] PORT=1"], told(("", 1))),
        # What belongs to the session that the next one ends does not.
        (["HELO=x"], told(helo="x")),
        (["HELO=x PROTO=ESMTP"], told(helo="x", esmtp=True)),
        (["HELO=x PROTO=SMTP"], told(helo="x")),
        (["PROTO=ESMTP"], told(esmtp=True)),
        (["HELO=x PROTO=ESMTP", "NAME=a.example"], told()),
        (["HELO=x PROTO=ESMTP", "HELO=[UNAVAILABLE]"], told()),
        (["LOGIN=anne"], told(login="anne")),
        (["LOGIN=anne", "LOGIN=bart"], told(login="bart")),
        (["LOGIN=anne", "LOGIN=[UNAVAILABLE]"], told()),
        (["LOGIN=anne", "NAME=a.example"], told()),
    ],
)
def test_the_session_afterwards(commands: list[str], expected: str) -> None:
    items: list[Any] = [b"EHLO c.example\r\n", "250-mx.example\n...\n250 " + LINE]
    for command in commands:
        items += [f"XCLIENT {command}\r\n".encode(), GREETING]
    if not commands:
        expected = told(helo="c.example", esmtp=True)
    play([*items, b"NOOP\r\n", expected], Tells, **FROM_LISTED)


def test_attributes_of_several_commands_add_up(connect: Connect) -> None:
    wire = connect(**FROM_LISTED)
    wire.say(
        "XCLIENT NAME=a.example ADDR=198.51.100.7 PORT=77 HELO=x PROTO=ESMTP LOGIN=anne",
        "XCLIENT DESTADDR=192.0.2.25 DESTPORT=25 NAME=[UNAVAILABLE]",
    )
    assert wire.server.session.xclient == {
        "NAME": None,
        "ADDR": "198.51.100.7",
        "PORT": "77",
        "DESTADDR": "192.0.2.25",
        "DESTPORT": "25",
    }
    assert wire.server.session.peer_before_xclient == LISTED


def test_the_client_greets_again() -> None:
    play(
        f"""
        C: EHLO filter.example
        S: 250-mx.example
        S: ...
        S: 250 {LINE}
        C: XCLIENT NAME=a.example ADDR=198.51.100.7
        S: {GREETING}
        C: MAIL FROM:<a@b>
        S: 503 Error: send HELO first
        C: EHLO a.example
        S: 250-mx.example
        S: ...
        S: 250 {LINE}
        C: MAIL FROM:<a@b> BODY=8BITMIME
        S: 250 OK
        C: XCLIENT ADDR=198.51.100.8
        S: {BUSY}
        C: RCPT TO:<c@d>
        S: 250 OK
        C: XCLIENT
        S: {BUSY}
        C: RSET
        S: 250 OK
        C: XCLIENT HELO=b.example
        S: {GREETING}
        C: MAIL FROM:<a@b>
        S: 250 OK
        C: RCPT TO:<c@d>
        S: 250 OK
        C: DATA
        S: 354 ...
        C: .
        S: 250 OK
        C: XCLIENT ADDR=[UNAVAILABLE]
        S: {GREETING}
        C: QUIT
        S: 221 Bye
        [closed]
        """,
        **FROM_LISTED,
    )


@pytest.mark.parametrize(
    ("attributes", "reply"),
    [
        ("LOGIN=anne HELO=x", "250 OK"),
        ("HELO=x", "530 5.7.0 Authentication required"),
        ("LOGIN=[UNAVAILABLE] HELO=x", "530 5.7.0 Authentication required"),
    ],
)
def test_a_login_is_as_good_as_auth(connect: Connect, attributes: str, reply: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wire = connect(auth_required=True, tls_context=context, **FROM_LISTED)
    assert wire.say(f"XCLIENT {attributes}", "MAIL FROM:<a@b>") == [GREETING, reply]


def test_a_login_of_auth_is_forgotten(connect: Connect) -> None:
    wire = connect(Tells(), **FROM_LISTED)
    session = wire.server.session
    session.authenticated, session.auth_data, session.auth_identity = True, object(), "anne"
    assert wire.say("XCLIENT NAME=a.example", "NOOP") == [GREETING, told()]
    assert session.auth_data is None


def test_starttls_before_it_is_required(connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    wire = connect(tls_context=context, require_starttls=True, **FROM_LISTED)
    assert wire.say("XCLIENT HELO=x") == ["530 Must issue a STARTTLS command first"]
    assert wire.server.session.xclient == {}


def test_tls_is_not_offered_again_under_tls(connect: Connect) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    extra = {"peername": LISTED, "sslcontext": context}
    wire = connect(tls_context=context, **{**FROM_LISTED, "extra": extra})
    assert wire.say("XCLIENT HELO=x") == [GREETING]
    assert "STARTTLS" not in wire.ehlo()
    assert wire.server.session.ssl is not None


def test_lmtp() -> None:
    play(
        f"""
        C: XCLIENT HELO=x ADDR=198.51.100.7
        S: {GREETING}
        C: NOOP
        S: {told(("198.51.100.7", 0), "x")}
        """,
        Tells,
        cls=LMTP,
        **FROM_LISTED,
    )


def test_over_a_unix_socket_the_peer_becomes_an_address(connect: Connect) -> None:
    extension = XClient([], unix_sockets=True)
    wire = connect(Tells(), extensions=(extension,), ident="Ident", extra={"peername": ""})
    assert wire.say("XCLIENT NAME=a.example", "NOOP") == [GREETING, told("")]
    assert wire.say("XCLIENT PORT=77", "NOOP") == [GREETING, told(("", 77))]
    assert wire.say("XCLIENT ADDR=198.51.100.7", "NOOP") == [GREETING, told(("198.51.100.7", 77))]


def test_the_log_names_both(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mail.log")
    connect(**FROM_LISTED).say("XCLIENT ADDR=198.51.100.7")
    assert "('192.0.2.1', 2525) speaks for ('198.51.100.7', 0)" in caplog.text
    connect(**ON, extra={"peername": ("198.51.100.1", 1)}).say("XCLIENT ADDR=198.51.100.7")
    assert "('198.51.100.1', 1) may not send XCLIENT" in caplog.text


def test_the_limits_of_a_session_begin_anew(connect: Connect) -> None:
    class Limited(SMTP):
        recipient_domain_limit = 1

    limits = {"NOOP": 2, "*": 9}
    wire = connect(cls=Limited, command_call_limit=limits, **FROM_LISTED)
    again = [*["250 OK"] * 2, '500 Error: command "FOO" not recognized']
    for domain in ("a.example", "b.example"):
        assert wire.say("NOOP", "NOOP", "FOO") == again
        wire.ehlo()
        wire.say("MAIL FROM:<x@example.com>")
        assert wire.say(f"RCPT TO:<y@{domain}>", "RCPT TO:<y@c.example>") == [
            "250 OK",
            str(replies.TOO_MANY_DOMAINS),
        ]
        wire.say("RSET")
        assert wire.say("XCLIENT ADDR=198.51.100.7") == [GREETING]
    assert wire.server._bogus_count == 0


def test_help(connect: Connect) -> None:
    wire: Wire = connect(**FROM_LISTED)
    assert wire.say("HELP XCLIENT") == ["250 Syntax: XCLIENT attribute=value..."]
