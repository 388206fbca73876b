"""The extensions that are there to be added, all at once, and with whatever a client may send."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.conversations import GREETED, play, received

from aiosmtpd.extensions import (
    BUILT_IN,
    DEFAULT,
    DeliveryTime,
    Dsn,
    Extension,
    FutureRelease,
    Limits,
    OriginalRecipient,
    ValidSince,
    table_of,
)
from aiosmtpd.lmtp import LMTP
from aiosmtpd.protocol import MalformedParameters, ProtocolError
from aiosmtpd.smtp import SMTP

# Those of this list have no verbs and leave replies alone, so that the replies below stay what they are.
NAMES = [
    "DELIVERBY",
    "DSN",
    "FUTURERELEASE",
    "LIMITS",
    "MT-PRIORITY",
    "NO-SOLICITING",
    "REQUIRETLS",
    "RRVS",
]
ALL = (*DEFAULT, *(BUILT_IN[name]() for name in NAMES))
MAIL = {
    "SIZE=1": ("SIZE", 1),
    "BODY=8BITMIME": ("BODY", "8BITMIME"),
    "SMTPUTF8": ("SMTPUTF8", True),
    "RET=FULL": ("RET", "FULL"),
    "ENVID=" + "x" * 100: ("ENVID", "x" * 100),
    "REQUIRETLS": ("REQUIRETLS", True),
    "MT-PRIORITY=-9": ("MT-PRIORITY", -9),
    "BY=+99999999;NT": ("BY", DeliveryTime(99_999_999, "N", True)),
    "HOLDUNTIL=2001-01-01T00:00:00+00:00": ("HOLDUNTIL", datetime(2001, 1, 1, tzinfo=UTC)),
    "SOLICIT=" + "x" * 1000: ("SOLICIT", ("x" * 1000,)),
}
RCPT = {
    "NOTIFY=SUCCESS,FAILURE,DELAY": ("NOTIFY", frozenset({"SUCCESS", "FAILURE", "DELAY"})),
    "ORCPT=rfc822;" + "x" * 493: ("ORCPT", OriginalRecipient("rfc822", "x" * 493)),
    "RRVS=2014-04-03T23:01:00+00:00;C": (
        "RRVS",
        ValidSince(datetime(2014, 4, 3, 23, 1, tzinfo=UTC), "C"),
    ),
}


def test_names() -> None:
    for name, make in BUILT_IN.items():
        extension = make()
        assert extension.name == name
        assert name not in {default.name for default in DEFAULT}
        assert isinstance(extension, Extension)
    assert set(NAMES) <= set(BUILT_IN)


def test_all_are_offered() -> None:
    lines = [
        "250-DELIVERBY",
        "250-DSN",
        "250-FUTURERELEASE 604800 ...",
        "250-LIMITS RCPTMAX=50000",
        "250-MT-PRIORITY",
        "250-NO-SOLICITING",
        "250-REQUIRETLS",
        "250 RRVS",
    ]
    script = "".join(f"S: {line}\n" for line in ["250-mx.example", "...", "250-HELP", *lines])
    play(f"C: EHLO c\n{script}", tls=True, extensions=ALL)
    play(f"C: LHLO c\n{script}", cls=LMTP, tls=True, extensions=ALL)


@pytest.mark.parametrize("cls", [SMTP, LMTP])
def test_every_parameter_at_once(cls: type[SMTP]) -> None:
    """In commands as long as they may be at most, each parameter as long as its RFC says."""
    mail = f"MAIL FROM:<{'a' * (512 - len('MAIL FROM:<@example.com>'))}@example.com>"
    rcpt = f"RCPT TO:<{'b' * (512 - len('RCPT TO:<@example.com>'))}@example.com>"
    script = (
        f"{GREETED}C: {' '.join([mail, *MAIL])}\nS: 250 OK\n"
        f"C: {' '.join([rcpt, *RCPT])}\nS: 250 OK\n"
        "C: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"
    )
    (envelope,) = received(
        script.replace("EHLO", "LHLO") if cls is LMTP else script,
        cls=cls,
        tls=True,
        enable_SMTPUTF8=True,
        extensions=ALL,
    )
    assert envelope.mail_parameters == dict(MAIL.values())
    assert envelope.rcpt_parameters == [dict(RCPT.values())]


def test_the_length_is_that_of_all_together() -> None:
    longer = table_of(ALL).longer
    for verb, parameters in (("MAIL", MAIL), ("RCPT", RCPT)):
        assert longer[verb] >= sum(len(f" {parameter}") for parameter in parameters)
        command = "C: {}{}\nS: {}\n"
        for octets, reply in (
            (512 + longer[verb], "501 ..."),
            (513 + longer[verb], "500 Command ..."),
        ):
            script = GREETED if verb == "MAIL" else f"{GREETED}C: MAIL FROM:<>\nS: 250 OK\n"
            script += command.format(verb, " " * (octets - len(verb) - 1) + "x", reply)
            play(script, extensions=ALL)


def test_a_fault_in_one_parameter_refuses_the_command() -> None:
    """And nothing of the command takes effect."""
    script = (
        f"{GREETED}C: MAIL FROM:<a@x> RET=FULL ENVID=x BY=0;R\nS: 501 ...\n"
        "C: RCPT TO:<b@x>\nS: 503 Error: need MAIL command\n"
        "C: MAIL FROM:<a@x> BY=0;N\nS: 250 OK\n"
        "C: RCPT TO:<b@x> NOTIFY=NEVER RRVS=x\nS: 501 ...\n"
        "C: DATA\nS: 503 Error: need RCPT command\n"
        "C: RCPT TO:<b@x>\nS: 250 OK\nC: DATA\nS: 354 ...\nC: .\nS: 250 OK\n"
    )
    (envelope,) = received(script, extensions=ALL)
    assert envelope.mail_parameters == {"BY": DeliveryTime(0, "N", False)}
    assert envelope.rcpt_parameters == [{}]


def test_sequence_goes_before_what_an_extension_finds() -> None:
    play(
        f"{GREETED}C: RCPT TO:<b@x> NOTIFY=x\nS: 503 Error: need MAIL command\n"
        "C: MAIL FROM:<a@x>\nS: 250 OK\n"
        "C: MAIL FROM:<a@x> RET=x\nS: 503 Error: nested MAIL command\n",
        extensions=ALL,
    )


# -- whatever a client sends ----------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("0123456789:;,-+.TZCRN\\x{}utf8ra@ \tE"),
    st.sampled_from([*MAIL, *RCPT]).map(lambda parameter: parameter.partition("=")[2]),
)


def _parsers() -> list[Any]:
    found = []
    for extension in ALL:
        for keyword in sorted(extension.mail_parameters):
            found.append(pytest.param(extension.parse_mail, keyword, id=f"MAIL-{keyword}"))
        for keyword in sorted(extension.rcpt_parameters):
            found.append(pytest.param(extension.parse_rcpt, keyword, id=f"RCPT-{keyword}"))
    return found


@pytest.mark.parametrize(("parse", "keyword"), _parsers())
@given(value=st.none() | TEXTS, utf8=st.booleans(), tls=st.booleans())
def test_a_value_is_understood_or_refused(
    parse: Callable[[Any, str, str | None], Any],
    keyword: str,
    value: str | None,
    utf8: bool,
    tls: bool,
) -> None:
    """Nothing but the two documented errors is raised, and a refusal has the right kind of code."""
    server = SimpleNamespace(
        enable_SMTPUTF8=utf8,
        data_size_limit=1000,
        _decode_data=False,
        _tls_protocol=object() if tls else None,
        _advertised_mechanisms=lambda: ["PLAIN"],
        _table=table_of(ALL),
    )
    try:
        parse(server, keyword, value)
    except MalformedParameters:
        pass
    except ProtocolError as fault:
        assert 500 <= fault.reply.code <= 599


@given(value=TEXTS)
def test_what_dsn_gives_can_stand_in_a_field(value: str) -> None:
    """No line end gets through into a notification."""
    server: Any = SimpleNamespace(enable_SMTPUTF8=True)
    for parse, keyword in ((Dsn().parse_mail, "ENVID"), (Dsn().parse_rcpt, "ORCPT")):
        try:
            found: Any = parse(server, keyword, value)
        except MalformedParameters:
            continue
        for text in [found] if keyword == "ENVID" else found:
            assert len(text.splitlines()) <= 1


@given(now=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2900, 1, 1)))
def test_what_is_announced_is_accepted(now: datetime) -> None:
    """The latest time that FUTURERELEASE tells is one that it takes."""
    server: Any = SimpleNamespace()
    hold = FutureRelease(max_interval=999_999_999, clock=lambda: now.replace(tzinfo=UTC))
    _, interval, latest = hold.ehlo_line(server).split(" ")
    assert hold.parse_mail(server, "HOLDFOR", interval) == 999_999_999
    until = hold.parse_mail(server, "HOLDUNTIL", latest)
    assert isinstance(until, datetime)


@given(
    limits=st.lists(st.integers(-1, 10**7), min_size=4, max_size=4),
    domains=st.none() | st.integers(0, 10**7),
)
def test_limits_keep_their_form(limits: list[int], domains: int | None) -> None:
    mail, rcpt, others, recipients = limits
    server: Any = SimpleNamespace(
        _call_limits={"MAIL": mail, "RCPT": rcpt, "*": others},
        recipient_limit=recipients,
        recipient_domain_limit=domains,
    )
    line = Limits().ehlo_line(server)
    if line is not None:
        name, *parts = line.split(" ")
        assert name == "LIMITS"
        assert parts
        for part in parts:
            _, value = part.split("=")
            assert 1 <= int(value) <= 999_999
