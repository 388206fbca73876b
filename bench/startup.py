"""How long things take in a fresh interpreter: an import, a controller, the command."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

from .client import LoadError
from .subjects import free_port

__all__ = ["time_asyncio", "time_controller", "time_first", "time_greeting"]

_IMPORT = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import aiosmtpd.controller
imported = time.perf_counter()
modules = len(set(sys.modules) - before)
controller = aiosmtpd.controller.Controller(object(), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
controller.stop()
ended = time.perf_counter()
print((imported - began) * 1000, (ended - began) * 1000, modules)
"""

_ASYNCIO = """
import time
began = time.perf_counter()
import asyncio
print((time.perf_counter() - began) * 1000)
"""

_CONTROLLER = """
import json, sys, time
from aiosmtpd.controller import Controller

def cycle():
    began = time.perf_counter()
    controller = Controller(object(), hostname="127.0.0.1", port=int(sys.argv[1]))
    controller.start()
    controller.stop()
    return (time.perf_counter() - began) * 1000

cycle()
print(json.dumps([cycle() for _ in range(10)]))
"""
_SECONDS = 20.0


def _run(python: Path, program: str, *arguments: str) -> str:
    # -I: neither the folder it is run from nor the user's own packages are looked at.
    command = [str(python), "-I", "-c", program, *arguments]
    return subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, timeout=_SECONDS
    ).stdout


def time_first(python: Path) -> tuple[float, float, int]:
    """Import ``aiosmtpd.controller``, and start and stop a first ``Controller``.

    Returns:
        The milliseconds of the import, those of it all, and how many modules the import brought.
    """
    milliseconds, in_all, modules = _run(python, _IMPORT, str(free_port())).split()
    return float(milliseconds), float(in_all), int(modules)


def time_asyncio(python: Path) -> float:
    """Import asyncio, and give the milliseconds that it takes."""
    return float(_run(python, _ASYNCIO))


def time_controller(python: Path) -> list[float]:
    """Start and stop a ``Controller`` ten times; give the milliseconds of each."""
    samples: list[float] = json.loads(_run(python, _CONTROLLER, str(free_port())))
    return samples


def time_greeting(python: Path) -> float:
    """Run ``python -m aiosmtpd``; give the milliseconds from there to its first greeting.

    Raises:
        LoadError: there is none.
    """
    port = free_port()
    command = [str(python), "-I", "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while time.perf_counter() - began < _SECONDS:
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as sock:
                        if sock.recv(512).startswith(b"220"):
                            return (time.perf_counter() - began) * 1000
                except ConnectionRefusedError:
                    time.sleep(0.001)
        finally:
            process.kill()
    raise LoadError("aiosmtpd does not greet")
