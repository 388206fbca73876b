"""How a conversation can go wrong: assertions, so that a test that meets one fails."""

from __future__ import annotations

__all__ = ["ConversationError", "ScriptMismatchError", "ServerClosedError", "ServerSilentError"]


class ConversationError(AssertionError):
    """The server did not do what the conversation needs; the text ends with what was said so far."""


class ServerSilentError(ConversationError):
    """The server did not answer within the conversation's timeout."""


class ServerClosedError(ConversationError):
    """The connection was over before the server answered."""


class ScriptMismatchError(ConversationError):
    """The server did not answer what the script says; the text shows the difference."""
