"""The twelve scenarios. Each gives one or more results; servers take turns within each round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from . import startup
from .client import LoadError, burst, drop, hold
from .environment import Environment
from .load import Work, send
from .measure import cpu_seconds, memory, peak_memory, reset_peak
from .result import Result, Row
from .subjects import Server, Subject, serving, serving_all

__all__ = ["SCENARIOS", "Plan", "open_files"]

_MIB = 2**20
_CPU = "µs of server CPU a message"


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        environment: what there is.
        subjects: what to measure.
        rounds: how often.
        seconds: how long one server is under load in one round, about.
        idle: how many idle connections there are in scenario 9.
        burst: how many connections there are in scenario 10.
        patience: seconds to wait for the last greeting in scenario 10.
        fresh: how many servers each are started in scenario 11.
        starts: how many interpreters a round are started in scenario 12.
    """

    environment: Environment
    subjects: Sequence[Subject]
    rounds: int = 5
    seconds: float = 0.4
    idle: int = 10_000
    burst: int = 5_000
    patience: float = 15.0
    fresh: int = 5
    starts: int = 4


def _in_turn(servers: Sequence[Server], number: int) -> Iterator[Server]:
    """Give the servers in an order that is another one each round, so that none has a place."""
    first = number % len(servers) if servers else 0
    yield from servers[first:]
    yield from servers[:first]


def open_files(wanted: int) -> int:
    """Allow this process and its children as many open files as can be; give how many."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


# -- 1 to 8: messages -----------------------------------------------------------------------------


def _deliver(key: str, title: str, work: Work, plan: Plan) -> list[Result]:
    """Send messages to one server after the other, round by round."""
    result = Result(key, title, _CPU)
    subjects = [subject for subject in plan.subjects if work.mode in subject.modes]
    with serving_all(plan.environment, subjects, work.mode) as servers:
        counts: dict[str, int] = {}
        rows: dict[str, Row] = {}
        for server in servers:
            subject = server.subject
            try:
                counts[subject.key] = _calibrate(plan, server, work)
            except LoadError as error:
                result.notes.append(f"{subject.title} is left out: {error}")
                continue
            rows[subject.key] = Row(subject.key, subject.title)
            reset_peak(server.pid)
        measured = [server for server in servers if server.subject.key in rows]
        for number in range(plan.rounds):
            for server in _in_turn(measured, number):
                name = server.subject.key
                _send_and_measure(plan, server, work, counts[name], rows[name])
    result.rows = list(rows.values())
    return [result]


def _calibrate(plan: Plan, server: Server, work: Work) -> int:
    """Warm a server up; give how many messages it takes in the time of one round."""
    few = work.connections
    # What a run takes however few messages it has: the client's start, the connections.
    fixed = send(plan.environment, server, work, few).seconds
    count = 2 * few
    for _ in range(4):
        seconds = send(plan.environment, server, work, count).seconds
        each = max(seconds - fixed, seconds / 10) / (count - few)
        if seconds > plan.seconds / 2:
            break
        count = max(few, int(min(8 * count, plan.seconds / each)))
    return max(few, int(plan.seconds / each))


def _send_and_measure(plan: Plan, server: Server, work: Work, count: int, row: Row) -> None:
    before = cpu_seconds(server.pid)
    outcome = send(plan.environment, server, work, count)
    used = cpu_seconds(server.pid) - before
    peak = peak_memory(server.pid)
    row.add(
        used / count * 1e6,
        messages_a_second=count / outcome.seconds,
        peak_MiB=None if peak is None else peak / _MIB,
        server_busy=used / outcome.seconds,
        client_busy=outcome.cpu / outcome.seconds,
        client_CPU=outcome.cpu / count * 1e6,
    )


# -- 9: idle connections --------------------------------------------------------------------------


def _idle(plan: Plan) -> list[Result]:
    """Hold idle connections; look at the memory they take, and serve one busy client meanwhile."""
    count = min(plan.idle, open_files(plan.idle + 500) - 500)
    kept = Result("9a", f"{count:,} idle connections after EHLO", "KiB of memory a connection")
    busy = Result("9b", f"one busy client beside {count:,} idle connections, 2 kB reused", _CPU)
    if count < plan.idle:
        kept.notes.append(f"the limit on open files allows {count:,} connections only")
    for subject in plan.subjects:
        row = Row(subject.key, subject.title)
        busy_row = Row(subject.key, subject.title)
        try:
            with serving(plan.environment, subject) as server:
                _hold_and_measure(plan, server, count, row, busy_row)
        except (LoadError, OSError) as error:
            kept.notes.append(f"{subject.title} is left out: {error}")
            continue
        kept.rows.append(row)
        busy.rows.append(busy_row)
    return [kept, busy]


def _hold_and_measure(plan: Plan, server: Server, count: int, row: Row, busy_row: Row) -> None:
    work = Work(2048, connections=1)
    messages = _calibrate(plan, server, work)
    drop(hold(server.address, 100))
    alone = Row("", "")
    for _ in range(plan.rounds):
        _send_and_measure(plan, server, work, messages, alone)
    before, used, began = memory(server.pid), cpu_seconds(server.pid), time.monotonic()
    socks = hold(server.address, count)
    try:
        row.add(
            (memory(server.pid) - before) / count / 1024,
            total_MiB=memory(server.pid) / _MIB,
            CPU_to_open=(cpu_seconds(server.pid) - used) / count * 1e6,
            seconds_to_open=time.monotonic() - began,
        )
        messages = _calibrate(plan, server, work)
        for _ in range(plan.rounds):
            _send_and_measure(plan, server, work, messages, busy_row)
    finally:
        drop(socks)
    busy_row.extra["CPU without idle ones"] = alone.samples


# -- 10: a burst ----------------------------------------------------------------------------------


def _burst(plan: Plan) -> list[Result]:
    """Connect all at once; see when the last greeting comes."""
    count = min(plan.burst, open_files(plan.burst + 500) - 500)
    result = Result("10", f"a burst of {count:,} connects", "ms to the last greeting")
    with serving_all(plan.environment, plan.subjects) as servers:
        rows = {
            server.subject.key: Row(server.subject.key, server.subject.title) for server in servers
        }
        for server in servers:
            burst(server.address, 50, seconds=plan.patience)
        for number in range(plan.rounds):
            for server in _in_turn(servers, number):
                row = rows[server.subject.key]
                if row.censored:  # it would take as long again, and tell nothing new
                    continue
                used = cpu_seconds(server.pid)
                outcome = burst(server.address, count, seconds=plan.patience)
                used = cpu_seconds(server.pid) - used
                row.censored = outcome.count < count
                row.add(
                    outcome.seconds * 1000,
                    greeted=outcome.count,
                    CPU_a_greeting=used / max(1, outcome.count) * 1e6,
                    client_busy=outcome.cpu / outcome.seconds,
                )
    result.rows = list(rows.values())
    if any(row.censored for row in result.rows):
        result.notes.append(
            f"Where fewer were greeted, no more came within {plan.patience:g} s: the others wait for "
            "TCP to try again. Such a server is measured once."
        )
    return [result]


# -- 11: one large message ------------------------------------------------------------------------

_LARGE = 32_000_000


def _large(plan: Plan) -> list[Result]:
    """Send one large message to a fresh server; see by how much its memory grows at most."""
    whole = Result("11a", "one message of 32 MB, handle_DATA", "MiB of memory it takes at most")
    streamed = Result("11b", "one message of 32 MB, handle_BODY", "MiB of memory it takes at most")
    for stream, result in ((False, whole), (True, streamed)):
        subjects = [subject for subject in plan.subjects if subject.streams or not stream]
        rows = {subject.key: Row(subject.key, subject.title) for subject in subjects}
        for _ in range(plan.fresh):
            for subject in subjects:
                with serving(plan.environment, subject, stream=stream) as server:
                    _send_large(plan, server, rows[subject.key])
        result.rows = [row for row in rows.values() if row.samples]
        if not result.rows:
            result.notes.append("This system does not tell the peak of a process's memory.")
    return [whole, streamed]


def _send_large(plan: Plan, server: Server, row: Row) -> None:
    send(plan.environment, server, Work(2048, connections=1), 20)
    before = reset_peak(server.pid)
    used = cpu_seconds(server.pid)
    outcome = send(plan.environment, server, Work(_LARGE, connections=1), 1)
    used = cpu_seconds(server.pid) - used
    peak = peak_memory(server.pid)
    if before is not None and peak is not None:
        row.add((peak - before) / _MIB, CPU_ms=used * 1000, ms=outcome.seconds * 1000)


# -- 12: starting ---------------------------------------------------------------------------------


def _start(plan: Plan) -> list[Result]:
    """Time what a test suite waits for: the import, a controller's start and stop, a greeting."""
    environment = plan.environment
    pythons = [("asyncio", "aiosmtpd 2", environment.new)]
    if environment.old is not None:
        pythons.append(("old-asyncio", "aiosmtpd 1.4.6", environment.old))
    imported = Result("12a", "import aiosmtpd.controller", "ms")
    started = Result("12b", "Controller: start and stop", "ms")
    greeted = Result("12c", "python -m aiosmtpd, to its first greeting", "ms")
    in_all = Result("12d", "import, and a first Controller: start and stop", "ms")
    results = [imported, started, greeted, in_all]
    for result in results:
        result.rows = [Row(key, title) for key, title, _ in pythons]
    by_asyncio = []
    for number in range(-1, plan.rounds * plan.starts):  # the first one only warms up
        turn = list(enumerate(pythons))
        for at, (_, _, python) in turn if number % 2 else reversed(turn):
            milliseconds, with_first, modules = startup.time_first(python)
            greeting = startup.time_greeting(python)
            if number < 0:
                continue
            imported.rows[at].add(milliseconds, modules=modules)
            in_all.rows[at].add(with_first)
            greeted.rows[at].add(greeting)
            if number % plan.starts == 0:
                for sample in startup.time_controller(python):
                    started.rows[at].add(sample)
        by_asyncio.append(startup.time_asyncio(environment.new))
    imported.notes.append(
        "aiosmtpd 2 imports asyncio and the server with the first controller that is made: see 12d."
    )
    in_all.notes.append(f"Importing asyncio alone takes {statistics.median(by_asyncio):.0f} ms.")
    return results


Scenario = Callable[[Plan], list[Result]]

SCENARIOS: dict[str, Scenario] = {
    "1": partial(_deliver, "1", "2 kB, 10 connections, reused", Work(2048)),
    "2": partial(_deliver, "2", "2 kB, a connection a message", Work(2048, reuse=False)),
    "3": partial(_deliver, "3", "100 kB, reused", Work(100_000)),
    "4": partial(_deliver, "4", "10 MB, 2 connections, reused", Work(10_000_000, connections=2)),
    "5": partial(_deliver, "5", "2 kB, pipelined, reused", Work(2048, pipelined=True)),
    "6": partial(
        _deliver,
        "6",
        "2 kB, 50 recipients, pipelined, reused",
        Work(2048, recipients=50, pipelined=True),
    ),
    "7a": partial(_deliver, "7a", "2 kB, STARTTLS, reused", Work(2048, mode="starttls")),
    "7b": partial(
        _deliver,
        "7b",
        "2 kB, TLS, a connection a message",
        Work(2048, mode="implicit", reuse=False),
    ),
    "8": partial(
        _deliver,
        "8",
        "LMTP, 2 kB, 10 recipients, pipelined, reused",
        Work(2048, recipients=10, pipelined=True, mode="lmtp"),
    ),
    "9": _idle,
    "10": _burst,
    "11": _large,
    "12": _start,
}
"""The scenarios by their number."""
