"""The receive buffer: octets that came and were not yet taken.

It keeps one ``bytes`` object and a position in it. Taking octets moves the position, so that a burst of
pipelined commands is cut up without moving memory; feeding joins only what was left over. It bounds
nothing itself: the readers take or drop what arrives before they ask for more.
"""

from __future__ import annotations

__all__ = ["ReceiveBuffer"]


class ReceiveBuffer:
    """Octets in the order they came, with searches that never look at the same octet twice."""

    __slots__ = ("_data", "_searched", "_start")

    def __init__(self) -> None:
        self._data = b""
        self._start = 0
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Add octets that came."""
        if self._start == len(self._data):
            self._data = bytes(data)  # no copy where it is ``bytes`` already
            self._start = self._searched = 0
        else:
            self._data = self._data[self._start :] + data
            self._searched = max(0, self._searched - self._start)
            self._start = 0

    def clear(self) -> None:
        """Forget everything."""
        self._data = b""
        self._start = self._searched = 0

    def take_line(self) -> bytes | None:
        """Take the octets up to and including the next LF, or None while there is none."""
        end = self._data.find(b"\n", max(self._start, self._searched)) + 1
        if not end:
            self._searched = len(self._data)
            return None
        line = self._data[self._start : end]
        self._start = end
        return line

    def take(self, count: int) -> bytes:
        """Take the next ``count`` octets, or as many as there are."""
        taken = self._data[self._start : self._start + count]
        self._start += len(taken)
        return taken

    def drop_line(self) -> bool:
        """Drop the octets up to and including the next LF, or all; tell whether there was an LF."""
        end = self._data.find(b"\n", self._start) + 1
        self._start = end or len(self._data)
        return end > 0

    def peek(self, count: int) -> bytes:
        """Give the next ``count`` octets, or as many as there are, without taking them."""
        return self._data[self._start : self._start + count]

    def find(self, pattern: bytes, start: int = 0) -> int:
        """Give the distance of the next ``pattern`` from here, or -1, looking from ``start`` on."""
        found = self._data.find(pattern, self._start + start)
        return found if found < 0 else found - self._start

    def matching_tail(self, pattern: bytes) -> int:
        """Give the length of the longest end of the buffer that ``pattern`` begins with."""
        longest = min(len(pattern) - 1, len(self))
        for length in range(longest, 0, -1):
            if self._data.endswith(pattern[:length]):
                return length
        return 0
