"""Points in time as the parameters of extensions write them (RFC 3339).

It knows the ``date-time`` of RFC 3339 section 5.6 and nothing else. It refuses to know what time it is.
"""

from __future__ import annotations

import datetime
import re

from .errors import MalformedParameters

__all__ = ["parse_date_time"]

# RFC 3339 section 5.6
#
#   full-date    = date-fullyear "-" date-month "-" date-mday
#   partial-time = time-hour ":" time-minute ":" time-second [time-secfrac]
#   time-secfrac = "." 1*DIGIT
#   time-offset  = "Z" / time-numoffset
#   date-time    = full-date "T" full-time
#
# "T" and "Z" may be lower-case, as all of ABNF may.
_DATE_TIME = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[Tt]"
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?"
    r"(?:[Zz]|(?P<sign>[+\-])(?P<hours>[0-9]{2}):(?P<minutes>[0-5][0-9]))\Z"
)
_LEAP_SECOND = 60


def parse_date_time(text: str) -> datetime.datetime:
    """Parse a ``date-time`` (RFC 3339 section 5.6).

    Args:
        text: the point in time, such as ``"1985-04-12T23:20:50.52Z"``.

    Returns:
        The point in time with its offset from UTC, to the microsecond. A leap second, which Python
        does not know, is the second after it.

    Raises:
        MalformedParameters: it has not the form, or there is no such day, time or offset.
    """
    match = _DATE_TIME.match(text)
    if match is None:
        raise MalformedParameters(f"not a date-time: {text!r}")
    offset = datetime.timedelta(
        hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0)
    ) * (-1 if match["sign"] == "-" else 1)
    second = int(match["second"])
    leap = second == _LEAP_SECOND
    try:
        found = datetime.datetime(
            int(match["year"]),
            int(match["month"]),
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            second - leap,
            int((match["fraction"] or "")[:6].ljust(6, "0")),
            tzinfo=datetime.timezone(offset),
        )
        found += datetime.timedelta(seconds=leap)
        # Whoever asks for it in another time zone shall not learn of it by an exception.
        found.astimezone(datetime.UTC)
        return found
    except (ValueError, OverflowError) as error:
        raise MalformedParameters(f"no such time: {text!r}") from error
