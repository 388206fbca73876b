"""EXTERNAL (RFC 4422 appendix A): the client is who its TLS certificate says.

It is offered where the TLS layer has verified a certificate of the client, which takes a context with
``verify_mode`` ``CERT_OPTIONAL`` or ``CERT_REQUIRED``.
"""

from __future__ import annotations

from .credentials import ExternalIdentity
from .mechanism import Challenge, Context, Mechanism, text_of

__all__ = ["External"]


class External(Mechanism):
    """One response: the authorization identity, or nothing."""

    name = "EXTERNAL"
    needs = "check_certificate"

    @classmethod
    def usable(cls, context: Context) -> bool:
        """Offer it to a client with a certificate."""
        return super().usable(context) and bool(context.certificate)

    def step(self, response: bytes | None) -> Challenge | ExternalIdentity:
        """Ask with an empty challenge (RFC 4422 appendix A.1), or take the identity."""
        if response is None:
            return Challenge(b"")
        context = self.context
        return ExternalIdentity(
            context.certificate, context.certificate_der, text_of(response) or None
        )
