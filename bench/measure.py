"""What the operating system knows of another process: its processor time and its memory.

On Linux processor time is counted in nanoseconds and memory includes the peak. Elsewhere ``ps`` tells
less and less exactly: what it does not tell is None.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["cpu_seconds", "memory", "peak_memory", "reset_peak"]

_LINUX = sys.platform == "linux"


def cpu_seconds(pid: int) -> float:
    """Give the seconds of processor time, user and system, that all threads of a process have used."""
    if _LINUX:
        return time.clock_gettime(_cpu_clock(pid))
    return _parse_ps_time(_ps(pid, "time"))


def _cpu_clock(pid: int) -> int:
    """Give the identifier of a process's processor clock (POSIX ``clock_getcpuclockid``)."""
    identifier = ctypes.c_int()
    fault = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(identifier))
    if fault:
        raise ProcessLookupError(fault, "no processor clock", pid)
    return identifier.value


def memory(pid: int) -> int:
    """Give the octets of memory that a process holds, its share of what is shared included."""
    if _LINUX:
        return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss")
    return int(_ps(pid, "rss")) * 1024


def peak_memory(pid: int) -> int | None:
    """Give the most memory in octets that was resident since :func:`reset_peak`."""
    return _kib(Path(f"/proc/{pid}/status"), "VmHWM") if _LINUX else None


def reset_peak(pid: int) -> int | None:
    """Let the peak begin at what is resident now, and give that in octets; None if it cannot be."""
    if not _LINUX:
        return None
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_memory(pid)


def _kib(path: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", path.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} does not tell {field}")
    return int(found[1]) * 1024


def _ps(pid: int, field: str) -> str:
    command = ["ps", "-o", f"{field}=", "-p", str(pid)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _parse_ps_time(text: str) -> float:
    """Read ``[[days-]hours:]minutes:seconds[.hundredths]``, as ``ps`` writes processor time."""
    days, _, clock = text.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return int(days or 0) * 86400 + seconds
