"""Load for one server, from smtp-source or from the small client, as a :class:`Work` describes it."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass

from .client import Conversation, LoadError, Outcome, deliver, make_message
from .environment import Environment
from .subjects import Server

__all__ = ["Work", "send"]


@dataclass(frozen=True)
class Work:
    """What is sent.

    Attributes:
        size: of a body, in octets.
        recipients: of a message.
        connections: how many are open at once.
        reuse: send messages over the same connections, or each over its own.
        pipelined: send MAIL, RCPT and DATA in one write.
        mode: one of :data:`~.subjects.MODES`.
    """

    size: int
    recipients: int = 1
    connections: int = 10
    reuse: bool = True
    pipelined: bool = False
    mode: str = "smtp"

    @property
    def by_source(self) -> bool:
        """Whether smtp-source can do it: it knows neither pipelining nor TLS."""
        return self.mode == "smtp" and not self.pipelined


def send(
    environment: Environment, server: Server, work: Work, messages: int, *, seconds: float = 60.0
) -> Outcome:
    """Send messages.

    Raises:
        LoadError: not all were accepted within so many seconds.
    """
    if work.by_source and environment.source is not None:
        return _send_by_source(environment, server, work, messages, seconds)
    lmtp = work.mode == "lmtp"
    message = make_message(
        work.size,
        work.recipients,
        pipelined=work.pipelined,
        final_replies=server.subject.lmtp_replies(work.recipients) if lmtp else 1,
    )
    conversation = Conversation(
        message,
        verb="lmtp" if lmtp else "smtp",
        reuse=work.reuse,
        tls=work.mode if work.mode in ("starttls", "implicit") else None,
    )
    return deliver(
        server.address, conversation, messages, connections=work.connections, seconds=seconds
    )


def _send_by_source(
    environment: Environment, server: Server, work: Work, messages: int, seconds: float
) -> Outcome:
    host, port = server.address
    command = [str(environment.source), "-s", str(min(work.connections, messages))]
    command += ["-m", str(messages), "-l", str(work.size), "-r", str(work.recipients)]
    command += ["-M", "client.example", "-f", "sender@example.com", "-t", "user@example.com"]
    command += ["-d"] if work.reuse else []
    before, began = _children_cpu(), time.monotonic()
    try:
        done = subprocess.run(
            [*command, f"inet:{host}:{port}"],
            env=environment.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"not done after {seconds:g} s") from None
    outcome = Outcome(messages, time.monotonic() - began, _children_cpu() - before)
    # It reports what it does not like and may exit with 0 all the same.
    complaint = re.search(r"(fatal|warning|error|panic): .*", done.stderr)
    if done.returncode != 0 or complaint is not None:
        raise LoadError(f"smtp-source: {complaint[0] if complaint else done.stderr.strip()}")
    return outcome


def _children_cpu() -> float:
    import resource  # where Postfix is, this is as well

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
