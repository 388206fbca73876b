"""The receive buffer: octets that came and were not yet taken.

It keeps one ``bytes`` object and a position in it. Taking octets moves the position, so that a burst of
pipelined commands is cut up without moving memory; feeding joins only what was left over. It bounds
nothing itself: the readers take or drop what arrives before they ask for more.
"""

from __future__ import annotations

__all__ = ["ReceiveBuffer"]

# So few octets, or none, are moved: else they would keep the large piece of a body that they end.
_FEW = 8


class ReceiveBuffer:
    """Octets in the order they came, with searches that never look at the same octet twice.

    Attributes:
        data: what came; empty whenever all of it was taken, so that asking whether there is something
            costs a look at it.
        start: where in it the octets begin that were not yet taken.
    """

    __slots__ = ("_searched", "data", "start")

    def __init__(self) -> None:
        self.data = b""
        self.start = 0
        self._searched = 0

    def __len__(self) -> int:
        return len(self.data) - self.start

    def feed(self, data: bytes) -> None:
        """Add octets that came."""
        if not self.data:
            self.data = data if type(data) is bytes else bytes(data)
        else:
            self.data = self.data[self.start :] + data
            self._searched = max(0, self._searched - self.start)
            self.start = 0

    def clear(self) -> None:
        """Forget everything."""
        self.data = b""
        self.start = self._searched = 0

    def take_line(self) -> bytes | None:
        """Take the octets up to and including the next LF, or None while there is none."""
        data = self.data
        end = data.find(b"\n", self._searched) + 1
        if not end:
            self._searched = len(data)
            return None
        start = self.start
        if end < len(data):
            self.start = self._searched = end
            return data[start:end]
        self.data = b""
        self._searched = 0
        if not start:
            return data
        self.start = 0
        return data[start:]

    def take(self, count: int) -> bytes:
        """Take the next ``count`` octets, or as many as there are."""
        taken = self.data[self.start : self.start + count]
        self.drop(count)
        return taken

    def drop(self, count: int) -> None:
        """Forget the next ``count`` octets."""
        end = self.start + count
        if len(self.data) - end < _FEW:
            self.data = self.data[end:]
            self.start = self._searched = 0
        else:
            self.start = self._searched = end

    def peek(self, count: int) -> bytes:
        """Give the next ``count`` octets, or as many as there are, without taking them."""
        return self.data[self.start : self.start + count]

    def find(self, pattern: bytes, start: int = 0) -> int:
        """Give the distance of the next ``pattern`` from here, or -1, looking from ``start`` on."""
        found = self.data.find(pattern, self.start + start)
        return found if found < 0 else found - self.start

    def matching_tail(self, pattern: bytes, count: int | None = None) -> int:
        """Give the length of the longest end of the buffer that ``pattern`` begins with.

        Args:
            pattern: what may have begun to come.
            count: where the end is, in octets from here; None stands for the end of what there is.
        """
        stop = len(self.data) if count is None else self.start + count
        longest = min(len(pattern) - 1, stop - self.start)
        for length in range(longest, 0, -1):
            if self.data.endswith(pattern[:length], 0, stop):
                return length
        return 0
