"""What the extensions of a server add up to, worked out once and not once a connection."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from .base import Extension, Server

__all__ = ["ExtensionTable", "table_of"]

# The verbs that extensions may judge.
_CHECKED = frozenset({"MAIL", "RCPT", "DATA", "BDAT"})

# What the names of the methods begin with that are verbs.
_VERB = "smtp_"

Verb = Callable[[Server, str | None], Awaitable[None]]


class ExtensionTable:
    """The extensions of a server, by what they are asked for.

    Args:
        extensions: the extensions, in the order of their EHLO lines.

    Attributes:
        extensions: the same.
        mail: the extension that knows a parameter of MAIL, by keyword.
        rcpt: the same for RCPT.
        body_types: the values of the parameter BODY.
        longer: by how many octets a command may be longer after EHLO, by verb.
        longest: the largest of these.
        verbs: the methods of the verbs that are added, by verb.
        checks: the extensions to ask about a command, by verb.
        filters: the extensions that every reply goes through.

    Raises:
        TypeError: one of them is no :class:`Extension`, or has no name.
        ValueError: an extension is there twice, two have the same parameter, one needs another, or one
            names what is never asked for.
    """

    __slots__ = (
        "body_types",
        "checks",
        "extensions",
        "filters",
        "longer",
        "longest",
        "mail",
        "rcpt",
        "verbs",
    )

    def __init__(self, extensions: tuple[Extension, ...]) -> None:
        self.extensions = extensions
        self.mail: dict[str, Extension] = {}
        self.rcpt: dict[str, Extension] = {}
        self.longer: dict[str, int] = {}
        self.verbs: dict[str, Verb] = {}
        self.checks: dict[str, tuple[Extension, ...]] = {}
        self.body_types: tuple[str, ...] = ()
        names = _names_of(extensions)
        for extension in extensions:
            _check_names(extension)
            if missing := extension.needs - names:
                raise ValueError(f"extensions: {extension.name} needs {', '.join(sorted(missing))}")
            self.body_types += extension.body_types
            _add(self.mail, extension.mail_parameters, extension)
            _add(self.rcpt, extension.rcpt_parameters, extension)
            for verb, octets in extension.longer.items():
                self.longer[verb] = self.longer.get(verb, 0) + octets
            for verb in extension.checks:
                self.checks[verb] = (*self.checks.get(verb, ()), extension)
            for verb in _verbs_of(extension):
                self.verbs.setdefault(verb, getattr(extension, _VERB + verb))
        self.longest = max(self.longer.values(), default=0)
        self.filters = tuple(
            extension
            for extension in extensions
            if type(extension).filter_reply is not Extension.filter_reply
        )


def _verbs_of(extension: Extension) -> list[str]:
    names = (name for name in dir(extension) if name.startswith(_VERB))
    return [name.removeprefix(_VERB) for name in names]


def _names_of(extensions: tuple[Extension, ...]) -> set[str]:
    names: set[str] = set()
    for extension in extensions:
        if isinstance(extension, type):
            name = extension.__name__
            raise TypeError(f"extensions: {name} is a class, an object of it is needed")
        if not isinstance(extension, Extension):
            raise TypeError(f"extensions: {extension!r} is no Extension")
        if not hasattr(extension, "name"):
            raise TypeError(f"extensions: {type(extension).__name__} has no name")
        if extension.name in names:
            raise ValueError(f"extensions: {extension.name} is there twice")
        names.add(extension.name)
    return names


def _check_names(extension: Extension) -> None:
    """Refuse what is looked up in upper case, and would never be found."""
    words = (*extension.mail_parameters, *extension.rcpt_parameters, *extension.longer)
    for word in (*words, *_verbs_of(extension)):
        if word != word.upper():
            raise ValueError(f"extensions: {extension.name}: {word!r} is not in upper case")
    if unasked := extension.checks - _CHECKED:
        unknown = ", ".join(sorted(unasked))
        raise ValueError(f"extensions: {extension.name}: there is no check of {unknown}")


def _add(table: dict[str, Extension], keywords: frozenset[str], extension: Extension) -> None:
    for keyword in keywords:
        if keyword in table:
            raise ValueError(f"extensions: two of them have the parameter {keyword}")
        table[keyword] = extension


# Bounded, for a program may make its extensions anew with each connection.
_kept = functools.lru_cache(maxsize=64)(ExtensionTable)


def table_of(extensions: tuple[Extension, ...]) -> ExtensionTable:
    """Give the table of some extensions, made when they are first asked for."""
    try:
        return _kept(extensions)
    except TypeError:
        # One has no hash, such as a dataclass; or one is no extension, which is told here once more.
        return ExtensionTable(extensions)
