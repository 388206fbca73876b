"""The helper that plays conversations in every way: it must see what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.conversations import GREETED, TO_DATA, play, received, ways

from aiosmtpd.smtp import SMTP


def test_a_script() -> None:
    envelopes = received(
        f"{TO_DATA}\nC: Subject: hi\nC: ..dot\nC: .\nS: 250 OK\nC: QUIT\nS: 221 Bye"
    )
    assert [envelope.content for envelope in envelopes] == [b"Subject: hi\r\n.dot\r\n"]


def test_octets_as_they_are() -> None:
    assert len(play([b"NOOP \xff\r\n", "500 Error: strict ASCII mode"])) == 4


@pytest.mark.parametrize(
    ("conversation", "complaint"),
    [
        ("C: NOOP\nS: 251 OK", "not as expected"),
        ("C: NOOP\nC: NOOP\nS: 250 OK", "more than expected"),
        ("C: NOOP\nS: 250-...\nS: 250 OK", "not as expected"),
        ("C: QUIT\nS: 221 Bye\nS: 250 OK", "the server closed the connection"),
    ],
)
def test_what_is_wrong_is_seen(conversation: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        play(conversation)


def test_a_fault_in_one_way_only_is_seen() -> None:
    class Sensitive(SMTP):
        """A server that knows when its commands come in one piece."""

        def data_received(self, data: bytes) -> None:
            self.session.__dict__["pieces"] = vars(self.session).get("pieces", 0) + 1
            super().data_received(data)

        async def smtp_NOOP(self, arg: str | None) -> None:
            await self.push("250 OK" if vars(self.session)["pieces"] == 1 else "250 Cut")

    with pytest.raises(AssertionError, match="250 Cut"):
        play("C: NOOP\nS: 250 OK", cls=Sensitive)


def test_a_server_that_hangs_up() -> None:
    play(f"{GREETED}\nC: QUIT\nC: NOOP\nS: 221 Bye\n[closed]")


def test_what_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="eof"):
        play("C: NOOP\n[eof]")


def test_ways() -> None:
    items: list[Any] = [b"ab", "1", b"c", "2"]
    whole, octets, *random = ways(items, stepwise=False)
    assert whole == [b"abc", "1", "2"]
    assert octets == [b"a", b"b", "1", b"c", "2"]
    assert [b"".join(item for item in way if isinstance(item, bytes)) for way in random] == [
        b"abc",
        b"abc",
    ]
    assert list(ways(items, stepwise=True)) == [items, [b"a", b"b", "1", b"c", "2"]]
