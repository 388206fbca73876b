"""LIMITS (RFC 9422): the limits in force, told to the client before it runs into them.

The limits are the server's, and hold whether it tells them or not: ``command_call_limit``,
``recipient_limit`` and ``recipient_domain_limit`` of :class:`aiosmtpd.smtp.SMTP`. A client that exceeds
the first is answered 421, and the connection ends; one that exceeds the others is answered 452, and
what was accepted stays (RFC 5321 section 4.5.3.1.10).
"""

from __future__ import annotations

from .base import Extension, Server

__all__ = ["Limits"]

# A value is %x31-39 0*5DIGIT (RFC 9422 section 4).
_LARGEST = 999_999


class Limits(Extension):
    """``LIMITS`` with those of ``MAILMAX``, ``RCPTMAX`` and ``RCPTDOMAINMAX`` that are in force."""

    name = "LIMITS"

    def ehlo_line(self, server: Server) -> str | None:
        """Offer the limits that the form can express, if there are any.

        MAILMAX counts the MAIL commands of a session, RCPTMAX the recipients of a transaction, and
        RCPTDOMAINMAX the domains of all recipients of a session (RFC 9422 section 4).
        """
        recipients = server.recipient_limit
        calls = _call_limit(server, "RCPT")
        if calls is not None:
            recipients = min(recipients, calls)
        limits = {
            "MAILMAX": _call_limit(server, "MAIL"),
            "RCPTMAX": recipients,
            "RCPTDOMAINMAX": server.recipient_domain_limit,
        }
        told = [
            f"{name}={limit}"
            for name, limit in limits.items()
            if limit is not None and 1 <= limit <= _LARGEST
        ]
        return " ".join([self.name, *told]) if told else None


def _call_limit(server: Server, verb: str) -> int | None:
    """How often a verb may be sent in a session; None for any number."""
    limits = server._call_limits
    return None if limits is None else limits.get(verb, limits["*"])
