"""Points in time (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from aiosmtpd.protocol import MalformedParameters
from aiosmtpd.protocol.timestamp import parse_date_time

VALID = [
    ("1985-04-12T23:20:50Z", datetime(1985, 4, 12, 23, 20, 50, tzinfo=UTC)),
    ("1985-04-12t23:20:50z", datetime(1985, 4, 12, 23, 20, 50, tzinfo=UTC)),
    ("1985-04-12T23:20:50.52Z", datetime(1985, 4, 12, 23, 20, 50, 520000, tzinfo=UTC)),
    ("1985-04-12T23:20:50.123456789Z", datetime(1985, 4, 12, 23, 20, 50, 123456, tzinfo=UTC)),
    ("1996-12-19T16:39:57-08:00", datetime(1996, 12, 20, 0, 39, 57, tzinfo=UTC)),
    ("1937-01-01T12:00:27.87+00:20", datetime(1937, 1, 1, 11, 40, 27, 870000, tzinfo=UTC)),
    ("1990-12-31T23:59:60Z", datetime(1991, 1, 1, tzinfo=UTC)),
    ("1990-12-31T15:59:60.5-08:00", datetime(1991, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
    ("2024-02-29T00:00:00-00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
]
INVALID = [
    "",
    "1985-04-12",
    "1985-04-12T23:20:50",
    "1985-04-12 23:20:50Z",
    "1985-04-12T23:20Z",
    "1985-04-12T23:20:50.Z",
    "1985-04-12T23:20:50Z ",
    "1985-04-12T23:20:50Z\n",
    "85-04-12T23:20:50Z",
    "1985-4-12T23:20:50Z",
    "0000-01-01T00:00:00Z",
    "1985-13-12T23:20:50Z",
    "2023-02-29T00:00:00Z",
    "1985-04-12T24:00:00Z",
    "1985-04-12T23:60:00Z",
    "1985-04-12T23:20:61Z",
    "1985-04-12T23:20:50+24:00",
    "1985-04-12T23:20:50+00:60",
    "1985-04-12T23:20:50+0100",
    "9999-12-31T23:59:60Z",
    # Before and after all that Python knows, once somebody asks for it in UTC.
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "١٩٨٥-04-12T23:20:50Z",
]


@pytest.mark.parametrize(("text", "expected"), VALID)
def test_a_point_in_time(text: str, expected: datetime) -> None:
    assert parse_date_time(text) == expected


def test_the_offset_is_kept() -> None:
    found = parse_date_time("1996-12-19T16:39:57-08:30")
    assert found.tzinfo == timezone(timedelta(hours=-8, minutes=-30))


@pytest.mark.parametrize("text", INVALID)
def test_no_point_in_time(text: str) -> None:
    with pytest.raises(MalformedParameters):
        parse_date_time(text)
