"""A mistake in an argument of a server is told when the server is made, by the name of the argument."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosmtpd.auth import Authenticator, AuthResult, Plain
from aiosmtpd.auth.mechanism import Context
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP


def make(**arguments: Any) -> SMTP:
    async def made() -> SMTP:
        return SMTP(Sink(), hostname="mx", **arguments)

    return asyncio.run(made())


def accept(*_: Any) -> AuthResult:
    return AuthResult(success=True)


@pytest.mark.parametrize(
    ("argument", "value", "fault"),
    [
        ("auth_exclude_mechanism", "PLAIN", "a list of names is needed, not 'PLAIN'"),
        ("auth_exclude_mechanism", "", "a list of names is needed, not ''"),
        ("auth_exclude_mechanism", 5, "a list of names is needed, not 5"),
        ("auth_exclude_mechanism", [b"PLAIN"], "a name is a str, not b'PLAIN'"),
        ("auth_mechanisms", "PLAIN", "a list of mechanism classes is needed, not 'PLAIN'"),
        ("auth_mechanisms", Plain, "a list of mechanism classes is needed, not "),
        ("auth_mechanisms", ["PLAIN"], "a subclass of Mechanism is needed, not 'PLAIN'"),
        ("auth_mechanisms", [Plain(Context())], "a subclass of Mechanism is needed, not <"),
        ("auth_mechanisms", [Plain, int], "a subclass of Mechanism is needed, not <class 'int'>"),
        ("authenticator", "x", "a callable is needed, not 'x'"),
        ("authenticator", Authenticator, "Authenticator is a class, an object of it is needed"),
        ("auth_callback", 5, "a callable is needed, not 5"),
        ("sender_policy", True, "a callable is needed, not True"),
        ("auth_failure_limit", "3", "must be int or None, not '3'"),
        ("auth_failure_limit", True, "must be int or None, not True"),
    ],
)
def test_of_another_type(argument: str, value: Any, fault: str) -> None:
    with pytest.raises(TypeError) as raised:
        make(**{argument: value})
    assert str(raised.value).startswith(argument)
    assert fault in str(raised.value)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_failure_limit_that_nobody_could_keep(limit: int) -> None:
    with pytest.raises(ValueError, match="auth_failure_limit must be 1 or more"):
        make(auth_failure_limit=limit)


@pytest.mark.parametrize("names", [["Plain"], ("plain",), {"PLAIN"}, iter(["PLAIN"]), {"PLAIN": 1}])
def test_any_list_of_names_will_do(names: Any) -> None:
    assert sorted(make(auth_exclude_mechanism=names)._auth_methods) == ["LOGIN"]


def test_what_is_right_is_taken_as_it_is() -> None:
    smtp = make(
        authenticator=accept,
        auth_mechanisms=iter([Plain]),
        auth_failure_limit=1,
        sender_policy=lambda *_: True,
    )
    assert smtp._authenticator is accept
    assert list(smtp._auth_methods) == ["PLAIN"]
    assert smtp._auth_failure_limit == 1
    assert make(auth_failure_limit=None)._auth_failure_limit is None
