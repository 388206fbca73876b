"""The two ends of TLS, for the tests that have one over a real connection, and how Hypothesis runs."""

from __future__ import annotations

import os
import ssl

import hypothesis
import pytest
import trustme

# No test is about how long something takes: a busy machine is no failure. A change is judged by the same
# examples each time; new ones are drawn where people work, who then see what they found.
hypothesis.settings.register_profile(
    "aiosmtpd",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("aiosmtpd")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """The server's end, with a certificate for this machine and for ``mx.example``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    names = ("mx.example", "localhost", "127.0.0.1", "::1")
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    """The client's end, which trusts the authority and looks at the name."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
