"""What people test their mail programs with: conversations in memory, without a port or a thread.

:class:`Conversation` plays the client to a server protocol, :func:`converse` does it from a script
that reads like the examples of RFC 5321, and :class:`RecordingHandler` keeps what was received.
:class:`MemoryTransport` is the transport below. All of it is deterministic: nothing sleeps, and what
waits, waits for the server with a limit. Nothing in this package imports it.
"""

from .conversation import Conversation, Outcome, converse
from .errors import (
    ConversationError,
    ScriptMismatchError,
    ServerClosedError,
    ServerSilentError,
)
from .recording import RecordingHandler
from .transport import MemoryTransport

__all__ = [
    "Conversation",
    "ConversationError",
    "MemoryTransport",
    "Outcome",
    "RecordingHandler",
    "ScriptMismatchError",
    "ServerClosedError",
    "ServerSilentError",
    "converse",
]
