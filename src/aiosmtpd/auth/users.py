"""Users in a file: an authenticator for those who have no directory to ask.

Of all of SASL, only this module does I/O, and none of it in the event loop: reading the file and
checking a password take a thread's time. A name that is not in the file costs what one that is in it
does, and is shown the same kind of challenge, so that nobody learns from outside who is a user.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .authenticator import Authenticator
from .credentials import ScramKeys
from .hashes import ScramHash, StoredHash, parse_hash

__all__ = ["UsersFile"]

log = logging.getLogger("mail.log")

_T = TypeVar("_T")

# Characters of a name that is normalised. A longer one is compared as it is, for the time it takes grows
# as the square of the length, and meanwhile no other thread runs.
_NAME_LIMIT = 1024


@dataclass(frozen=True)
class _User:
    """Somebody in the file: what a password is checked against, and the keys for SCRAM."""

    password: StoredHash
    scram: Mapping[str, ScramKeys]


@dataclass(frozen=True)
class _Table:
    """The contents of a file.

    Attributes:
        users: everybody by name.
        scram: by mechanism the names that have keys for it.
    """

    users: Mapping[str, _User] = field(default_factory=dict)
    scram: Mapping[str, Sequence[str]] = field(default_factory=dict)


class UsersFile(Authenticator):
    """Judges PLAIN, LOGIN and SCRAM by a file of lines ``name:hash``.

    A hash is one of argon2 or bcrypt, as the programs ``argon2`` and ``htpasswd -B`` write it, or one
    of SCRAM, as PostgreSQL writes it (``SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>``). A
    name may have one of argon2 or bcrypt and one of each SCRAM. A password is checked against the first
    of these that there is; SCRAM is offered if there are lines for it, and then every user should have
    one. Empty lines and lines that begin with ``#`` are skipped. Names are UTF-8, normalised to NFKC.

    The file is read again when it has changed. If it cannot be read then, what was read before stays in
    force, and one error is logged.

    Args:
        path: the file.
        workers: how many passwords may be checked at a time, each in a thread; argon2 may take 64 MiB
            for each. None for one a processor, and 4 at most.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line of it is malformed, or its hash needs a package that is not installed; the
            message has the file and the number of the line. Or ``workers`` is not positive.
    """

    def __init__(self, path: str | os.PathLike[str], *, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise ValueError("workers must be 1 or more")
        self._path = Path(path)
        self._lock = threading.Lock()
        self._stamp = _stamp(self._path)
        self._table = _read(self._path)
        self._executor = ThreadPoolExecutor(
            workers or min(4, os.cpu_count() or 1), thread_name_prefix="aiosmtpd-users"
        )

    def close(self) -> None:
        """Let the threads end; nobody can be judged any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def accepts(self, mechanism: str) -> bool:
        """Offer SCRAM where there are keys for it."""
        name = mechanism.removesuffix("-PLUS")
        return not name.startswith("SCRAM-") or name in self._table.scram

    async def check_password(self, session: Any, login: str, password: bytes) -> str | None:
        """Check a password in a thread."""
        return await self._in_thread(self._check, login, password)

    async def scram_keys(self, session: Any, login: str, mechanism: str) -> ScramKeys:
        """Give the keys of a name, or keys that nobody has."""
        return await self._in_thread(self._keys, login, mechanism)

    async def _in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    def _check(self, login: str, password: bytes) -> str | None:
        table = self._current()
        name = _normalised(login)
        user = table.users.get(name)
        if user is not None:
            return name if user.password.matches(password) else None
        if table.users:
            self._stand_in(table.users, list(table.users), name).password.matches(password)
        return None

    def _keys(self, login: str, mechanism: str) -> ScramKeys:
        table = self._current()
        name = _normalised(login)
        user = table.users.get(name)
        keys = user.scram.get(mechanism) if user is not None else None
        if keys is not None:
            return keys
        if mechanism not in table.scram:
            return ScramKeys.decoy(self.decoy_secret, mechanism, name)
        model = self._stand_in(table.users, table.scram[mechanism], name).scram[mechanism]
        return ScramKeys.decoy(
            self.decoy_secret, mechanism, name, model.iterations, len(model.salt)
        )

    def _stand_in(self, users: Mapping[str, _User], names: Sequence[str], name: str) -> _User:
        """Choose somebody for a name that does not exist; always the same one, as if it existed."""
        number = hmac.digest(self.decoy_secret, name.encode("utf-8"), "sha256")
        return users[names[int.from_bytes(number, "big") % len(names)]]

    def _current(self) -> _Table:
        """Give the contents of the file, read again if it has changed."""
        with self._lock:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp  # also of a file that is malformed: it is not read twice
                try:
                    self._table = _read(self._path)
                except (OSError, ValueError) as error:
                    log.error("users file: %s; what was read before stays in force", error)
                else:
                    log.info("users file: read %s again", self._path)
            return self._table


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Give what changes with a file's contents; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def _read(path: Path) -> _Table:
    found: dict[str, dict[str, StoredHash]] = {}
    for where, line in _lines(path):
        name, colon, text = line.partition(":")
        name = _normalised(name)
        if not colon or not name:
            raise ValueError(f"{where}: not a name, a colon and a hash")
        try:
            stored = parse_hash(text)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if stored.kind in found.setdefault(name, {}):
            raise ValueError(f"{where}: the name is there twice")
        found[name][stored.kind] = stored
    users = {name: _user_of(hashes) for name, hashes in found.items()}
    mechanisms = {mechanism for user in users.values() for mechanism in user.scram}
    scram = {
        mechanism: [name for name, user in users.items() if mechanism in user.scram]
        for mechanism in mechanisms
    }
    return _Table(users, scram)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Give the lines that say something, and where each is."""
    for number, octets in enumerate(path.read_bytes().splitlines(), 1):
        where = f"{path}:{number}"
        try:
            line = octets.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError(f"{where}: not UTF-8") from None
        if line and not line.startswith("#"):
            yield where, line


def _user_of(hashes: Mapping[str, StoredHash]) -> _User:
    kinds = ("password", "SCRAM-SHA-256", "SCRAM-SHA-1")
    first = next(hashes[kind] for kind in kinds if kind in hashes)
    scram = {kind: stored.keys for kind, stored in hashes.items() if isinstance(stored, ScramHash)}
    return _User(first, scram)


def _normalised(name: str) -> str:
    # As SASLprep does (RFC 4013 section 2.2): SCRAM gives names that way.
    return unicodedata.normalize("NFKC", name) if len(name) <= _NAME_LIMIT else name
