"""What a program that imports a server does not import: what few servers need, and what brings much.

No test looks at a clock. What is loaded is asked of fresh interpreters, once for each program.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import pickle
import pydoc
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import aiosmtpd
from aiosmtpd import auth, controller, extensions, server, smtp

# What a server cannot do without; it brings more or less along on different versions of Python.
BASIS = "import asyncio, base64, dataclasses, inspect, logging, socket, ssl, warnings"
IMPORT = "import aiosmtpd.controller"
CONTROLLER = f"{IMPORT}\naiosmtpd.controller.Controller(object())"

# A message without AUTH and without a proxy in front, by a client that writes as RFC 5321 has it.
MESSAGE = """
import asyncio
from aiosmtpd.smtp import SMTP
from aiosmtpd.testing import Conversation, RecordingHandler

async def main():
    async with Conversation(SMTP(RecordingHandler(), hostname="mx")) as client:
        outcome = await client.message("anne@a.example", "bart@b.example", "Hello")
        assert outcome.reply.code == 250, client.transcript

asyncio.run(main())
"""

BECOME_NOBODY = """
import os
from types import SimpleNamespace
from aiosmtpd import main

loaded_then = []
os.getuid = os.geteuid = lambda: 0
os.initgroups = os.setgid = lambda *_: None
os.setuid = lambda _: loaded_then.extend(sys.modules)
main._become(None, SimpleNamespace(pw_name="nobody", pw_uid=65534, pw_gid=65534), None)
"""

# The standard library's, and what they are for.
DEAR = {
    "concurrent.futures.thread",  # users in a file
    "datetime",  # FUTURERELEASE and RRVS
    "email",  # handlers
    "hashlib",  # SASL, as are those below of which nothing is said
    "hmac",
    "importlib.util",
    "ipaddress",  # lists of networks, the PROXY protocol
    "json",
    "pathlib",  # Unix sockets
    "random",
    "secrets",
    "struct",  # the PROXY protocol
    "unicodedata",
    "urllib.parse",
}
# All of ours that come with a controller.
AT_ONCE = {
    "aiosmtpd.auth": {"password", "result", "sanitize"},
    "aiosmtpd.extensions": {
        *("auth", "base", "chunking", "eightbitmime", "expn", "help", "pipelining", "size"),
        *("smtputf8", "starttls", "table"),
    },
    "aiosmtpd.handlers": set(),
    "aiosmtpd.protocol": {
        *(
            "buffer",
            "chunks",
            "connection",
            "errors",
            "events",
            "grammar",
            "plain",
            "readers",
            "reply",
        ),
        "sequence",
    },
    "aiosmtpd.testing": set(),
}
PACKAGES = [auth, extensions]

# What 1.4 had in the module of the controllers, and what it is here.
LATE = {
    "SMTP": smtp.SMTP,
    "_FakeServer": server.Unavailable,
    "_server_to_client_ssl_ctx": server._server_to_client_ssl_ctx,
    "asyncio": asyncio,
    "ssl": ssl,
}


@cache
def loaded_by(program: str, names: str = "sys.modules") -> frozenset[str]:
    """Give the modules that are loaded when a program has run, or other names that it tells."""
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*{names})"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return frozenset(shown.stdout.split())


def below(package: str, modules: frozenset[str]) -> set[str]:
    """Give the names of the modules in a package."""
    prefix = f"{package}."
    return {module.removeprefix(prefix) for module in modules if module.startswith(prefix)}


def promised(package: ModuleType) -> Iterator[tuple[str, str]]:
    """Give the names that a package has for type checkers only, and their modules."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    for block in tree.body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for statement in block.body:
                assert isinstance(statement, ast.ImportFrom)
                for alias in statement.names:
                    yield alias.name, statement.module or ""


def test_what_is_dear_is_not_imported() -> None:
    # What the basis brings along costs nothing more.
    new = loaded_by(CONTROLLER) - loaded_by(BASIS)
    assert "aiosmtpd.controller" in new
    assert not DEAR & new


def test_the_basis_brings_little_of_it() -> None:
    # Or the test above would say nothing.
    assert len(DEAR - loaded_by(BASIS)) > len(DEAR) // 2


@pytest.mark.parametrize("package", AT_ONCE)
def test_what_of_ours_is_imported(package: str) -> None:
    # A module that is new here makes everybody wait who imports a controller.
    assert below(package, loaded_by(CONTROLLER)) == AT_ONCE[package]


def test_a_controller_that_is_not_made_brings_nothing() -> None:
    loaded = loaded_by(IMPORT)
    assert not {"asyncio", "ssl"} & loaded
    assert below("aiosmtpd", loaded) == {"controller", "late"}


@pytest.mark.parametrize("name", LATE)
def test_names_of_the_controller_that_come_late(name: str) -> None:
    program = f"from aiosmtpd import controller\nfrom aiosmtpd.controller import {name}"
    assert name in loaded_by(program, "vars(controller)")
    assert name in loaded_by(IMPORT, "dir(aiosmtpd.controller)")
    assert getattr(controller, name) is LATE[name]


def test_a_name_that_comes_late_may_be_replaced_before() -> None:
    """As ``mock.patch`` does it, which takes away from a module what it did not find in it."""
    program = """
from unittest import mock
from aiosmtpd import controller
with mock.patch("aiosmtpd.controller.SMTP") as made:
    replaced = controller.Controller(object()).factory() is made.return_value
whole = isinstance(controller.Controller(object()).factory(), controller.SMTP)
"""
    assert loaded_by(program, "(replaced, whole)") == {"True"}


def test_a_class_that_was_replaced_elsewhere_is_not_taken_for_good() -> None:
    """By a test that makes the first controller of the process."""
    program = """
from unittest import mock
from aiosmtpd import controller
with mock.patch("aiosmtpd.smtp.SMTP"):
    first = controller.Controller(object())
whole = type(first.factory()) is type(controller.Controller(object()).factory())
import aiosmtpd.smtp
"""
    assert loaded_by(program, "(whole, controller.SMTP is aiosmtpd.smtp.SMTP)") == {"True"}


def test_a_module_that_is_loaded_once_more_has_its_names_anew() -> None:
    program = """
import importlib
from aiosmtpd import controller
controller.SMTP = None
importlib.reload(controller)
"""
    assert loaded_by(program, "(controller.SMTP is not None,)") == {"True"}


@pytest.mark.parametrize("module", ["proxy_protocol", "smtp"])
def test_modules_that_came_with_the_controller(module: str) -> None:
    assert f"aiosmtpd.{module}" in loaded_by(f"{IMPORT}\naiosmtpd.{module}.__name__")
    assert f"aiosmtpd.{module}" not in loaded_by(IMPORT)


def test_other_modules_are_to_be_imported() -> None:
    with pytest.raises(AttributeError, match="module 'aiosmtpd' has no attribute 'nothing'"):
        _ = aiosmtpd.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["arguments", "main", "networks", "proxy_protocol"])
def test_rooms_that_nobody_asked_for(module: str) -> None:
    importlib.import_module(f"aiosmtpd.{module}")  # it exists
    assert f"aiosmtpd.{module}" not in loaded_by(CONTROLLER)


def test_a_message_needs_no_more() -> None:
    for package in ("aiosmtpd.auth", "aiosmtpd.extensions", "aiosmtpd.protocol"):
        assert below(package, loaded_by(MESSAGE)) == AT_ONCE[package]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no root")
def test_all_is_imported_before_root_is_given_up() -> None:
    loaded = loaded_by(BECOME_NOBODY, "loaded_then")
    for package in ("aiosmtpd.auth", "aiosmtpd.extensions", "aiosmtpd.protocol"):
        folder = Path(auth.__file__).parents[1] / package.removeprefix("aiosmtpd.")
        assert below(package, loaded) == {path.stem for path in folder.glob("[!_]*.py")}


# -- the names are there all the same ---------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_what_there_is(package: ModuleType) -> None:
    known = dict(package._MODULES)
    assert known.pop("DEFAULT_MECHANISMS", "default") == "default"  # declared with its docstring
    assert dict(promised(package)) == known


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_imported_when_they_are_asked_for(package: ModuleType) -> None:
    assert set(package._MODULES) <= set(package.__all__) <= set(dir(package))
    for name, module in package._MODULES.items():
        found = getattr(package, name)
        assert found is getattr(importlib.import_module(f"{package.__name__}.{module}"), name)
        assert vars(package)[name] is found  # from now on


@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_names(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'Nothing'"):
        _ = package.Nothing
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec(f"from {package.__name__} import Nothing")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_star_imports_all(package: ModuleType) -> None:
    assert set(package.__all__) <= loaded_by(f"from {package.__name__} import *", "dir()")


@pytest.mark.parametrize("package", PACKAGES)
def test_help_tells_of_all(package: ModuleType) -> None:
    text = pydoc.plain(pydoc.render_doc(package))
    assert not [name for name in package._MODULES if name not in text]


@pytest.mark.parametrize("package", PACKAGES)
def test_classes_can_be_pickled(package: ModuleType) -> None:
    for name in package._MODULES:
        found = getattr(package, name)
        assert pickle.loads(pickle.dumps(found)) == found


def test_built_in_extensions_are_imported_one_by_one() -> None:
    program = "from aiosmtpd.extensions import BUILT_IN\nlist(BUILT_IN), len(BUILT_IN), {}"
    at_once = AT_ONCE["aiosmtpd.extensions"]
    assert below("aiosmtpd.extensions", loaded_by(program.format("repr(BUILT_IN)"))) == at_once
    loaded = loaded_by(program.format("BUILT_IN['LIMITS']()"))
    assert below("aiosmtpd.extensions", loaded) == at_once | {"limits"}


def test_built_in_extensions_are_a_mapping() -> None:
    assert "NOTHING" not in extensions.BUILT_IN
    assert len(extensions.BUILT_IN) == len(list(extensions.BUILT_IN)) == 12
    assert "'DSN': 'Dsn'" in repr(extensions.BUILT_IN)
    for name, make in extensions.BUILT_IN.items():
        assert make().name == name
