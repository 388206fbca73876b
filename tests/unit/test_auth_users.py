"""Users in a file: what a line may be, what a change does, and that nobody learns who is in it."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import pytest
from scramp import ScramMechanism

from aiosmtpd.auth import AuthResult, LoginPassword, ScramKeys, UsersFile
from aiosmtpd.auth.hashes import parse_hash

ARGON2 = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ARGON2I = argon2.PasswordHasher(1, 8, 1, type=argon2.Type.I)


def scram_line(password: str, name: str = "SCRAM-SHA-256", iterations: int = 4096) -> str:
    """Write keys as PostgreSQL does."""
    salt, stored, server, count = ScramMechanism(name).make_auth_info(password, iterations)
    shown = [base64.b64encode(octets).decode() for octets in (salt, stored, server)]
    return f"{name}${count}:{shown[0]}${shown[1]}:{shown[2]}"


def bcrypt_line(password: bytes, prefix: str = "2b") -> str:
    text = bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()
    return text.replace("$2b$", f"${prefix}$")


# As PostgreSQL's documentation and the program htpasswd write them.
HASHES: dict[str, Callable[[str], str]] = {
    "argon2id": ARGON2.hash,
    "argon2i": ARGON2I.hash,
    "bcrypt": lambda password: bcrypt_line(password.encode()),
    "bcrypt 2y": lambda password: bcrypt_line(password.encode(), "2y"),
    "SCRAM-SHA-256": scram_line,
    "SCRAM-SHA-1": lambda password: scram_line(password, "SCRAM-SHA-1"),
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def check(users: UsersFile, login: str, password: bytes) -> str | None:
    return asyncio.run(users.check_password(None, login, password))


def keys_of(users: UsersFile, login: str, mechanism: str = "SCRAM-SHA-256") -> ScramKeys:
    return asyncio.run(users.scram_keys(None, login, mechanism))


# -- the lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HASHES)
def test_each_kind_of_hash(tmp_path: Path, kind: str) -> None:
    password = "s3cret p\N{LATIN SMALL LETTER E WITH ACUTE}"
    users = UsersFile(write(tmp_path / "users", f"anne:{HASHES[kind](password)}"))
    assert check(users, "anne", password.encode()) == "anne"
    wrong = [b"", b"s3cret", password.encode() + b"x", b"\xff", b"a\0b", b"\x07", b"x" * 9000]
    for guess in wrong:
        assert check(users, "anne", guess) is None
    for name in ("", "Anne", "anne ", "bart"):
        assert check(users, name, password.encode()) is None


def test_a_line_of_htpasswd(tmp_path: Path) -> None:
    # htpasswd -nbB -C 4 myName myPassword
    line = "myName:$2y$04$" + bcrypt_line(b"myPassword")[7:]
    users = UsersFile(write(tmp_path / "users", line))
    assert check(users, "myName", b"myPassword") == "myName"


def test_bcrypt_uses_72_octets(tmp_path: Path) -> None:
    users = UsersFile(write(tmp_path / "users", f"anne:{bcrypt_line(b'x' * 72)}"))
    assert check(users, "anne", b"x" * 80) == "anne"
    assert check(users, "anne", b"x" * 71) is None


def test_comments_and_space(tmp_path: Path) -> None:
    path = tmp_path / "users"
    lines = f"# users\r\n\r\n  anne:{ARGON2.hash('a')}  \r\n\t# bart:x\r\nbart:{ARGON2.hash('b')}"
    path.write_bytes(lines.encode())
    users = UsersFile(path)
    assert check(users, "anne", b"a") == "anne"
    assert check(users, "bart", b"b") == "bart"
    assert check(users, "# bart", b"x") is None


def test_names_are_normalised(tmp_path: Path) -> None:
    composed = "\N{LATIN SMALL LETTER E WITH ACUTE}"
    users = UsersFile(write(tmp_path / "users", f"e\N{COMBINING ACUTE ACCENT}:{scram_line('a')}"))
    assert check(users, composed, b"a") == composed
    assert check(users, "e\N{COMBINING ACUTE ACCENT}", b"a") == composed
    assert keys_of(users, composed).iterations == 4096


def test_names_and_passwords_of_any_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes the interpreter's time, which all threads share, is not done for very long ones."""
    accent, password = "e\N{COMBINING ACUTE ACCENT}", "p" * 1000
    users = UsersFile(
        write(tmp_path / "users", f"{accent * 600}:{ARGON2.hash('a')}", f"b:{scram_line(password)}")
    )
    assert check(users, accent * 600, b"a") == accent * 600
    assert check(users, "b", password.encode()) == "b"

    def prepare(*_: Any) -> None:
        raise AssertionError("a long text is prepared")

    monkeypatch.setattr("unicodedata.normalize", prepare)
    assert check(users, accent * 3000, b"a") is None
    monkeypatch.undo()
    monkeypatch.setattr("scramp.core.saslprep", prepare)
    assert check(users, "b", b"\xef\xb7\xba" * 3000) is None


def test_a_name_may_have_a_line_of_each_kind(tmp_path: Path) -> None:
    users = UsersFile(
        write(
            tmp_path / "users",
            f"anne:{scram_line('for scram')}",
            f"anne:{scram_line('for scram', 'SCRAM-SHA-1')}",
            f"anne:{ARGON2.hash('for plain')}",
        )
    )
    assert check(users, "anne", b"for plain") == "anne"
    assert check(users, "anne", b"for scram") is None
    assert keys_of(users, "anne").salt != keys_of(users, "anne", "SCRAM-SHA-1").salt


STORED = scram_line("x").partition(":")[2]
MALFORMED = [
    ("anne", "not a name, a colon and a hash"),
    (":" + bcrypt_line(b"x"), "not a name, a colon and a hash"),
    ("anne:", "not a hash"),
    ("anne:s3cret", "not a hash"),
    ("anne:{SHA}s3cret", "not a hash"),
    ("anne:$1$s3cret$s3cret", "not a hash"),
    ("anne:$apr1$s3cret$s3cret", "not a hash"),
    ("anne:$2b$04$s3cret", "not a hash"),
    ("anne:" + bcrypt_line(b"x").replace("$04$", "$03$"), "not a hash"),
    ("anne:" + bcrypt_line(b"x") + ":s3cret", "not a hash"),
    ("anne:$argon2id$v=19$m=8,t=1,p=1$s3cret", "not a hash"),
    ("anne:" + ARGON2.hash("x").replace("m=8", "m=x"), "not a hash"),
    (f"anne:SCRAM-SHA-512$4096:{STORED}", "not a hash"),
    (f"anne:SCRAM-SHA-256$100:{STORED}", "not a hash"),
    (f"anne:SCRAM-SHA-256$4095:{STORED}", "iteration count"),
    (f"anne:SCRAM-SHA-256$99999999:{STORED}", "iteration count"),
    (f"anne:SCRAM-SHA-1$4096:{STORED}", "not those of SCRAM-SHA-1"),
    ("anne:" + scram_line("x").replace("=", ""), "base64"),
    ("anne:SCRAM-SHA-256$4096:c2FsdA==$" + STORED.partition("$")[2], "a salt has 12 octets"),
    (f"bart:{ARGON2.hash('x')}", "the name is there twice"),
    ("b\N{FULLWIDTH LATIN SMALL LETTER A}rt:" + bcrypt_line(b"x"), "the name is there twice"),
]


@pytest.mark.parametrize(("line", "fault"), MALFORMED, ids=map(str, range(len(MALFORMED))))
def test_a_malformed_line(tmp_path: Path, line: str, fault: str) -> None:
    path = write(tmp_path / "users", "# users", f"bart:{ARGON2.hash('b')}", line)
    with pytest.raises(ValueError, match=fault) as error:
        UsersFile(path)
    assert str(error.value).startswith(f"{path}:3: ")
    assert "s3cret" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_a_line_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"#\nann\xe9:x\n")
    with pytest.raises(ValueError, match="users:2: not UTF-8"):
        UsersFile(path)


@pytest.mark.parametrize(
    ("line", "extra"),
    [(ARGON2.hash("x"), "auth"), (bcrypt_line(b"x"), "auth"), (scram_line("x"), "scram")],
    ids=["argon2", "bcrypt", "scram"],
)
def test_a_package_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, line: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=rf"not installed: aiosmtpd\[{extra}\]"):
        parse_hash(line)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        UsersFile(tmp_path / "users")


def test_an_empty_file(tmp_path: Path) -> None:
    users = UsersFile(write(tmp_path / "users"))
    assert check(users, "anne", b"x") is None
    assert keys_of(users, "anne").iterations == 4096
    assert users.abilities == {"check_password", "scram_keys"}


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_are_checked(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        UsersFile(write(tmp_path / "users"), workers=workers)


def test_scram_is_offered_if_there_are_keys_for_it(tmp_path: Path) -> None:
    users = UsersFile(write(tmp_path / "users", f"anne:{scram_line('a')}"))
    names = ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
    assert [name for name in names if users.accepts(name)] == [*names[:2], *names[3:]]


# -- a change -------------------------------------------------------------------------------------


def test_a_change_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "users", f"anne:{ARGON2.hash('old')}")
    users = UsersFile(path)
    assert check(users, "anne", b"old") == "anne"
    write(path, f"anne:{ARGON2.hash('new')}", f"bart:{scram_line('b')}")
    assert check(users, "anne", b"old") is None
    assert check(users, "anne", b"new") == "anne"
    assert check(users, "bart", b"b") == "bart"
    assert users.accepts("SCRAM-SHA-256")


def test_a_file_that_is_replaced_by_one_of_its_size_and_time(tmp_path: Path) -> None:
    path = write(tmp_path / "users", f"anne:{bcrypt_line(b'old')}")
    users = UsersFile(path)
    found = path.stat()
    other = write(tmp_path / "other", f"anne:{bcrypt_line(b'new')}")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_size == found.st_size
    assert check(users, "anne", b"new") == "anne"


def test_a_change_that_is_malformed_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "users", f"anne:{ARGON2.hash('a')}")
    users = UsersFile(path)
    write(path, "bart:s3cret in the clear")
    for _ in range(3):
        assert check(users, "anne", b"a") == "anne"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "users:1: not a hash" in caplog.text
    assert "s3cret" not in caplog.text
    write(path, f"anne:{ARGON2.hash('b')}", "# mended")
    assert check(users, "anne", b"b") == "anne"
    assert len(caplog.records) == 1


def test_a_file_that_goes_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "users", f"anne:{ARGON2.hash('a')}")
    users = UsersFile(path)
    path.unlink()
    for _ in range(3):
        assert check(users, "anne", b"a") == "anne"
    assert len(caplog.records) == 1
    write(path, f"anne:{ARGON2.hash('b')}")
    assert check(users, "anne", b"b") == "anne"


# -- who is in it ---------------------------------------------------------------------------------


class Counted:
    """A stored hash that notes what it is asked."""

    kind = "password"

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name = name
        self.asked = asked

    def matches(self, password: bytes) -> bool:
        self.asked.append(self.name)
        return True


def test_a_name_that_does_not_exist_costs_what_another_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("aiosmtpd.auth.users.parse_hash", lambda text: Counted(text, asked))

    class Drawing(UsersFile):
        decoy_secret = b"the same"  # or, rarely, one of the five would be drawn by no stranger

    users = Drawing(write(tmp_path / "users", *(f"user{n}:hash{n}" for n in range(5))))
    assert check(users, "user3", b"x") == "user3"
    assert asked == ["hash3"]
    strangers = [f"stranger{n}" for n in range(50)]
    asked.clear()
    # One hash is computed for each; also one that matches lets nobody in.
    assert [check(users, name, b"x") for name in strangers] == [None] * 50
    assert len(asked) == 50
    assert set(asked) == {f"hash{n}" for n in range(5)}
    first = list(asked)
    asked.clear()
    for name in strangers:
        check(users, name, b"x")
    assert asked == first


def test_keys_of_a_name_that_does_not_exist(tmp_path: Path) -> None:
    users = UsersFile(
        write(
            tmp_path / "users",
            f"anne:{scram_line('a', iterations=5000)}",
            f"bart:{scram_line('b', iterations=6000)}",
            f"cleo:{ARGON2.hash('c')}",
        )
    )
    real, made_up = keys_of(users, "anne"), keys_of(users, "nobody")
    assert keys_of(users, "nobody") == made_up
    assert len(made_up.salt) == len(real.salt)
    assert len(made_up.stored_key) == len(real.stored_key)
    assert {keys_of(users, f"nobody{n}").iterations for n in range(50)} == {5000, 6000}
    # Neither does anybody learn who has keys for a mechanism.
    assert keys_of(users, "cleo").iterations in {5000, 6000}
    assert keys_of(users, "anne", "SCRAM-SHA-1").iterations == 4096


def test_processes_that_share_a_secret_show_the_same_salt(tmp_path: Path) -> None:
    class Shared(UsersFile):
        decoy_secret = b"shared"

    path = write(tmp_path / "users", f"anne:{scram_line('a')}")
    assert keys_of(Shared(path), "nobody") == keys_of(Shared(path), "nobody")
    assert keys_of(Shared(path), "nobody") != keys_of(UsersFile(path), "nobody")


# -- threads --------------------------------------------------------------------------------------


class Slow:
    """A stored hash that waits until as many are computed as are allowed to."""

    kind = "password"
    running = 0
    most = 0

    def __init__(self, lock: threading.Lock, meeting: threading.Barrier) -> None:
        self.lock = lock
        self.meeting = meeting

    def matches(self, password: bytes) -> bool:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.meeting.wait(timeout=20)
        with self.lock:
            self.running -= 1
        return True


def test_the_loop_runs_on_and_no_more_are_checked_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(threading.Lock(), threading.Barrier(2))
    monkeypatch.setattr("aiosmtpd.auth.users.parse_hash", lambda _: slow)
    users = UsersFile(write(tmp_path / "users", "anne:x"), workers=2)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> list[str | None]:
        turning = asyncio.ensure_future(turn())
        checks = [users.check_password(None, "anne", b"x") for _ in range(8)]
        try:
            return await asyncio.gather(*checks)
        finally:
            turning.cancel()

    assert asyncio.run(main()) == ["anne"] * 8
    assert slow.most == 2
    assert turns > 1
    users.close()


def test_it_is_an_authenticator(tmp_path: Path) -> None:
    users = UsersFile(write(tmp_path / "users", f"anne:{ARGON2.hash('a')}"))

    async def judge(credentials: Any) -> AuthResult:
        return await users(None, None, None, "PLAIN", credentials)

    assert asyncio.run(judge(LoginPassword(b"anne", b"a"))) == AuthResult(
        success=True, auth_data="anne", identity="anne"
    )
    refused = AuthResult(success=False, handled=False)
    assert asyncio.run(judge(LoginPassword(b"anne", b"b"))) == refused
    assert asyncio.run(judge(LoginPassword(b"\xff", b"a"))) == refused
