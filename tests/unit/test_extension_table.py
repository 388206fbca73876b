"""What is wrong with a list of extensions is told when the server is made, and not to its clients."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from aiosmtpd.extensions import (
    DEFAULT,
    Dsn,
    Extension,
    Limits,
    Server,
    SmtpUtf8,
    StrictSmtpUtf8,
    table_of,
)
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP


class Nameless(Extension):
    pass


class LowerParameter(Extension):
    name = "X-LOWER"
    mail_parameters = frozenset({"x-lower"})


class LowerRecipientParameter(Extension):
    name = "X-LOWER"
    rcpt_parameters = frozenset({"X-lower"})


class LowerVerb(Extension):
    name = "X-LOWER"
    longer: ClassVar[Mapping[str, int]] = {"mail": 10}


class LowerMethod(Extension):
    name = "X-LOWER"

    async def smtp_xlower(self, server: Any, arg: str | None) -> None:
        raise NotImplementedError


class OtherCheck(Extension):
    name = "X-CHECK"
    checks = frozenset({"RSET"})


class Same(Extension):
    name = "X-SAME"
    rcpt_parameters = frozenset({"NOTIFY"})


@pytest.mark.parametrize(
    ("extensions", "text"),
    [
        ((Dsn,), "extensions: Dsn is a class, an object of it is needed"),
        (("DSN",), "extensions: 'DSN' is no Extension"),
        ((None,), "extensions: None is no Extension"),
        ((Nameless(),), "extensions: Nameless has no name"),
    ],
    ids=["class", "str", "None", "nameless"],
)
def test_what_is_no_extension(extensions: tuple[Any, ...], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        SMTP(Sink(), hostname="mx.example", extensions=extensions)


@dataclasses.dataclass
class Fields(Extension):
    """An extension that is compared by its fields, and so has no hash."""

    name: ClassVar[str] = "FIELDS"
    color: str

    def ehlo_line(self, server: Server) -> str:
        return f"{self.name} {self.color}"


def test_an_extension_needs_no_hash() -> None:
    extensions = (*DEFAULT, Fields("red"))
    assert table_of(extensions).extensions == extensions
    with pytest.raises(ValueError, match="FIELDS is there twice"):
        table_of((*extensions, Fields("blue")))


@pytest.mark.parametrize(
    ("extensions", "text"),
    [
        ((*DEFAULT, Limits(), Limits()), "extensions: LIMITS is there twice"),
        ((SmtpUtf8(), StrictSmtpUtf8()), "extensions: SMTPUTF8 is there twice"),
        ((Dsn(), Same()), "extensions: two of them have the parameter NOTIFY"),
        ((LowerParameter(),), "extensions: X-LOWER: 'x-lower' is not in upper case"),
        ((LowerRecipientParameter(),), "extensions: X-LOWER: 'X-lower' is not in upper case"),
        ((LowerVerb(),), "extensions: X-LOWER: 'mail' is not in upper case"),
        ((LowerMethod(),), "extensions: X-LOWER: 'xlower' is not in upper case"),
        ((OtherCheck(),), "extensions: X-CHECK: there is no check of RSET"),
    ],
    ids=["twice", "strict", "parameter", "mail", "rcpt", "longer", "verb", "check"],
)
def test_what_cannot_work(extensions: tuple[Extension, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SMTP(Sink(), hostname="mx.example", extensions=extensions)


def test_a_list_that_is_right_is_looked_at_once() -> None:
    extensions = (*DEFAULT, Limits())
    assert table_of(extensions) is table_of((*extensions,))
