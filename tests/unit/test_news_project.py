"""What the changelog of 1.x tells of the project: names, platforms, options."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import aiosmtpd
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.testing import RecordingHandler

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = Path(aiosmtpd.__file__).parent


def test_the_licence_is_apache_2() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence


def test_the_command_is_called_aiosmtpd() -> None:
    assert PROJECT["project"]["scripts"] == {"aiosmtpd": "aiosmtpd.main:main"}


def test_warnings_are_errors_in_tests() -> None:
    """So what Python deprecates is noticed before its users notice."""
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"


# Imports the modules a second time, on a system that says it is Windows and has what Windows has. At
# the first time the standard library is loaded, which must not be deceived.
POSE_AS_WINDOWS = """
import importlib, os, signal, socket, sys
names = sys.argv[1:]
for name in names:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "aiosmtpd"]:
    del sys.modules[name]
sys.platform = "win32"
for name in ("pwd", "grp", "fcntl", "resource", "termios", "uvloop"):
    sys.modules[name] = None
for module, missing in (
    (os, ("setuid", "setgid", "getuid", "geteuid", "initgroups", "fork", "O_DIRECTORY")),
    (socket, ("AF_UNIX", "SO_REUSEPORT")),
    (signal, ("SIGHUP", "SIGUSR1", "SIGKILL")),
):
    for name in missing:
        if hasattr(module, name):
            delattr(module, name)
for name in names:
    importlib.import_module(name)
"""


def test_nothing_needs_unix_to_be_imported() -> None:
    modules = [
        ".".join(("aiosmtpd", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in PACKAGE.rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    ]
    assert len(modules) > 30
    imported = subprocess.run(
        [sys.executable, "-c", POSE_AS_WINDOWS, *modules],
        check=False,
        capture_output=True,
        text=True,
    )
    assert imported.returncode == 0, imported.stderr


def test_both_address_families_are_bound() -> None:
    with Controller(Sink(), hostname="", port=0) as controller:
        assert controller.server is not None
        bound = {sock.family.name for sock in controller.server.sockets}  # type: ignore[attr-defined]
    assert bound <= {"AF_INET", "AF_INET6"}
    assert "AF_INET" in bound


@pytest.mark.parametrize("hostname", [None, "localhost", "127.0.0.1"])
def test_a_controller_says_where_it_listens(hostname: str | None) -> None:
    with Controller(RecordingHandler(), hostname=hostname, port=0) as controller:
        assert controller.hostname in ("::1", "localhost", "127.0.0.1")
        assert controller.port > 0
