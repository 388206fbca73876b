"""CHUNKING (RFC 3030): content by BDAT, whose length is announced before it comes.

Only the count ends a chunk. No octet in it means anything, so nothing is searched, transparency is not
undone, and no line is too long.
"""

from __future__ import annotations

from .buffer import ReceiveBuffer
from .events import BodyChunk, BodyEnd
from .readers import Mode

__all__ = ["ChunkReader", "parse_chunk"]

# As for a streamed body: what one read of a socket brought is handed on in pieces of this size, and
# not cut up to the other.
_PIECE_SIZE = 65536
_PIECE_LIMIT = 81920

# As many as RFC 1870 section 4 has for the size of a message.
_DIGITS = 20


def parse_chunk(argument: str | None) -> tuple[int, str] | None:
    """Parse the argument of BDAT.

    RFC 3030 section 2::

        bdat-cmd   ::= "BDAT" SP chunk-size [ SP end-marker ] CR LF
        chunk-size ::= 1*DIGIT
        end-marker ::= "LAST"

    Args:
        argument: what followed the verb, or None.

    Returns:
        The size of the chunk in octets, and what follows it in upper case: empty, ``"LAST"``, or what
        is neither. None if there is no size: nobody can tell then where the next command begins.
    """
    size, _, marker = (argument or "").partition(" ")
    if not (size.isascii() and size.isdigit() and len(size) <= _DIGITS):
        return None
    marker = marker.strip()
    return int(size), marker.upper() if marker.isascii() else marker


class ChunkReader:
    """A chunk of content: so many octets, whatever they are.

    It gives :class:`~aiosmtpd.protocol.BodyChunk` for them as they come, then
    :class:`~aiosmtpd.protocol.BodyEnd`; a chunk of no octets is its end only.

    Args:
        size: the octets of the chunk.
        stream: whether a piece has at most 81,920 octets, and not as many as there are.
    """

    __slots__ = ("_discarding", "_left", "done", "stream")
    mode = Mode.BODY

    def __init__(self, size: int, *, stream: bool) -> None:
        self._left = size
        self._discarding = False
        self.stream = stream
        self.done = False

    def discard(self) -> None:
        """Give nothing more of the chunk but its end."""
        self._discarding = True

    def read(self, buffer: ReceiveBuffer) -> BodyChunk | BodyEnd | None:
        """Give the next piece of the chunk, or its end."""
        if self._left:
            count = min(self._left, len(buffer))
            if self._discarding:
                buffer.drop(count)
                self._left -= count
            elif count:
                if self.stream and count > _PIECE_LIMIT:
                    count = _PIECE_SIZE
                self._left -= count
                return BodyChunk(buffer.take(count))
            if self._left:
                return None
        self.done = True
        return BodyEnd()
