"""Mailbox: what got a 250 is on the disk, and is what was sent, octet by octet."""

from __future__ import annotations

import argparse
import asyncio
import email
import errno
import hashlib
import mailbox
import os
import stat
import threading
import time
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosmtpd.handlers import Mailbox
from aiosmtpd.handlers.mailbox import OctetMaildir
from aiosmtpd.session import Envelope, Session

SERVER: Any = None
FIELDS = (
    b"X-Peer: ('127.0.0.1', 123)\r\n"
    b"X-MailFrom: a@example.com\r\n"
    b"X-RcptTo: b@example.com, c@example.com\r\n"
)
PLAIN = b"Subject: x\r\n\r\nhi\r\n"
HARD_TO_KEEP = [
    b"",
    b"\r\n",
    PLAIN,
    b"Subject: x\r\n\r\n.\r\n..\r\n.leading dot\r\nFrom here\r\n",
    b"Subject: \xe9\xff\r\n\r\n\x00\x80\xff 8-bit and NUL\r\n",
    b"Subject: x\r\n\r\nbare\rCR, bare\nLF, both\n\r, vertical\x0btab, form\x0cfeed\r\n",
    b"Subject: " + b"long " * 300 + b"\r\n\r\n" + b"y" * 5000 + b"\r\n",
    b"Subject: folded\r\n  here\r\n\tand there\r\nSubject:twice\r\n \r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\nnever closed\r\n",
    b"Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
    b"this is no header field\r\nA: b\r\n\r\nbody\r\n",
    b" begins with white space\r\nA: b\r\n\r\nbody\r\n",
    b"From somebody Sat Jan  1 00:00:00 2000\r\nA: b\r\n\r\nbody\r\n",
    b"Subject: no line end at the end\r\n\r\nbody",
    b"Subject: no empty line\r\n",
    b"Subject: LF only\n\nbody\n",
    b"Subject: trailing\r\n\r\n\r\n\r\n  \r\n\r\n",
]


async def give(handler: Mailbox, content: bytes | str, **attributes: Any) -> str:
    session = Session(asyncio.get_running_loop())
    session.peer = ("127.0.0.1", 123)
    envelope = Envelope()
    envelope.mail_from = "a@example.com"
    envelope.rcpt_tos = ["b@example.com", "c@example.com"]
    envelope.content = content
    for name, value in attributes.items():
        setattr(envelope, name, value)
    return await handler.handle_DATA(SERVER, session, envelope)


def files(directory: str | os.PathLike[str]) -> list[Path]:
    return [path for path in Path(directory).rglob("*") if path.is_file()]


def stored(handler: Mailbox) -> bytes:
    [path] = files(handler.mail_dir)
    assert path.parent.name == "new"
    return path.read_bytes()


@pytest.fixture
def handler(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mail")


@pytest.mark.parametrize("content", HARD_TO_KEEP)
def test_what_is_stored_is_what_was_sent(handler: Mailbox, content: bytes) -> None:
    assert asyncio.run(give(handler, content)) == "250 OK"
    kept = stored(handler)
    assert kept[: len(FIELDS)] == FIELDS
    body = kept[len(kept) - len(content) :]
    assert hashlib.sha256(body).digest() == hashlib.sha256(content).digest()
    between = kept[len(FIELDS) : len(kept) - len(content)]
    assert between == (b"\r\n" if content.startswith(b" ") else b"")


@given(content=st.binary(max_size=200))
@settings(max_examples=50)
def test_any_octets_are_stored_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    handler = Mailbox(tmp_path_factory.mktemp("mail"))
    asyncio.run(give(handler, content))
    assert stored(handler).endswith(content)
    handler.reset()


@pytest.mark.parametrize("content", HARD_TO_KEEP)
def test_decoded_content_is_stored_as_it_was_sent(handler: Mailbox, content: bytes) -> None:
    asyncio.run(give(handler, content.decode("utf-8", "surrogateescape")))
    assert stored(handler).endswith(content)


@pytest.mark.parametrize("content", HARD_TO_KEEP)
def test_a_reader_of_the_mailbox_finds_our_fields(handler: Mailbox, content: bytes) -> None:
    asyncio.run(give(handler, content))
    [message] = mailbox.Maildir(handler.mail_dir, create=False)
    assert message["X-Peer"] == "('127.0.0.1', 123)"
    assert message["X-MailFrom"] == "a@example.com"
    assert message["X-RcptTo"] == "b@example.com, c@example.com"


def test_fields_of_these_names_are_ours(handler: Mailbox) -> None:
    head = b"Subject: x\r\n"
    forged = b"x-peer: f\r\n f\r\nX-MailFrom : f\r\nX-RCPTTO:f\r\nX-Peer: f\nX-Peer: f\r"
    body = b"\r\nX-Peer: in the body\r\n"
    asyncio.run(give(handler, forged + head + forged + body))
    assert stored(handler) == FIELDS + head + body


def test_the_envelope_may_hold_any_text(handler: Mailbox) -> None:
    recipients = [f"empfänger{number}@example.com" for number in range(100)]
    asyncio.run(give(handler, PLAIN, mail_from="é@example.com", rcpt_tos=recipients))
    kept = stored(handler)
    assert kept.endswith(PLAIN)
    assert kept.isascii()
    message = email.message_from_bytes(kept, policy=email.policy.default)
    assert message["X-MailFrom"] == "é@example.com"
    assert message["X-RcptTo"] == ", ".join(recipients)


def synchronizations(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, list[str]]]:
    """Record what is put on the disk, and where the message is at that time."""
    steps: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        steps.append((kind, [path.parent.name for path in files(handler.mail_dir)]))

    monkeypatch.setattr(os, "fsync", record)
    return steps


def test_the_answer_waits_for_the_disk(handler: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = synchronizations(handler, monkeypatch)
    asyncio.run(give(handler, PLAIN))
    expected = [("file", ["tmp"]), ("directory", ["new"])]
    assert steps == (expected if hasattr(os, "O_DIRECTORY") else expected[:1])


def test_the_answer_waits_for_the_disk_where_a_subclass_sees_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Tagging(tmp_path / "mail")
    steps = synchronizations(handler, monkeypatch)
    asyncio.run(give(handler, PLAIN))
    assert steps[0] == ("file", ["tmp"])
    assert not hasattr(os, "O_DIRECTORY") or steps[-1] == ("directory", ["new"])


def test_the_event_loop_does_not_wait_for_the_disk(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = threading.Event()
    waited = []
    monkeypatch.setattr(os, "fsync", lambda _: waited.append(running.wait(5)))

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.01, running.set)
        await give(handler, PLAIN)

    asyncio.run(run())
    assert waited
    assert all(waited)


def test_many_messages_at_once_get_a_file_each(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    contents = [b"Subject: %d\r\n\r\n" % number for number in range(64)]

    async def run() -> list[str]:
        return await asyncio.gather(*(give(handler, content) for content in contents))

    assert set(asyncio.run(run())) == {"250 OK"}
    kept = {path.read_bytes() for path in files(handler.mail_dir)}
    assert kept == {FIELDS + content for content in contents}


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_full_disk_fails_the_delivery(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def fail(descriptor: int) -> None:
        if (kind == "directory") == stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOSPC, "No space left on device")

    if kind == "directory" and not hasattr(os, "O_DIRECTORY"):
        pytest.skip("directories are not synchronized on this system")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(give(handler, PLAIN))
    assert [path.parent.name for path in files(handler.mail_dir)] == (
        ["new"] if kind == "directory" else []
    )


def test_a_file_system_that_cannot_synchronize_directories_will_do(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    assert asyncio.run(give(handler, PLAIN)) == "250 OK"


def test_a_system_that_knows_no_directory_descriptors_will_do(
    handler: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY", raising=False)
    assert asyncio.run(give(handler, PLAIN)) == "250 OK"
    assert stored(handler) == FIELDS + PLAIN


def test_a_mailbox_that_went_away_fails_the_delivery(handler: Mailbox) -> None:
    (Path(handler.mail_dir) / "new").rmdir()
    with pytest.raises(FileNotFoundError):
        asyncio.run(give(handler, PLAIN))
    assert not files(handler.mail_dir)


class Forwarding(Mailbox):
    """Overrides handle_message, as programs written for 1.4 do."""

    def handle_message(self, message: Message) -> None:
        self.thread = threading.current_thread()
        message["X-Seen"] = "yes"
        super().handle_message(message)


class Tagging(Mailbox):
    """Overrides prepare_message, as programs written for 1.4 do."""

    def prepare_message(self, session: Session, envelope: Envelope) -> Message:
        message = super().prepare_message(session, envelope)
        message["X-Seen"] = "yes"
        return message


@pytest.mark.parametrize("kind", [Forwarding, Tagging])
@pytest.mark.parametrize("content", [PLAIN, PLAIN.decode()])
def test_a_subclass_that_changes_the_message_stores_what_it_made(
    tmp_path: Path, kind: type[Mailbox], content: bytes | str
) -> None:
    handler = kind(tmp_path / "mail")
    assert asyncio.run(give(handler, content)) == "250 OK"
    added = FIELDS.replace(b"\r\n", b"\n") + b"X-Seen: yes\n"
    assert stored(handler) == b"Subject: x\n" + added + b"\nhi\n"


def test_an_overridden_method_runs_in_the_event_loop(tmp_path: Path) -> None:
    handler = Forwarding(tmp_path / "mail")
    asyncio.run(give(handler, PLAIN))
    assert handler.thread is threading.current_thread()


def test_a_replaced_method_is_called(handler: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[Message] = []
    monkeypatch.setattr(handler, "handle_message", messages.append)
    asyncio.run(give(handler, PLAIN))
    assert [message["Subject"] for message in messages] == ["x"]
    assert not files(handler.mail_dir)


def test_another_kind_of_mailbox_can_be_put_in_place(handler: Mailbox, tmp_path: Path) -> None:
    other: Any = mailbox.mbox(tmp_path / "mbox")
    handler.mailbox = other
    asyncio.run(give(handler, PLAIN))
    assert [message["Subject"] for message in other] == ["x"]
    other.close()


def test_a_parsed_message_can_be_added(handler: Mailbox) -> None:
    key = handler.mailbox.add(email.message_from_bytes(PLAIN))
    assert handler.mailbox.get_bytes(key) == b"Subject: x\n\nhi\n"


def test_the_key_of_a_delivery_finds_the_message(tmp_path: Path) -> None:
    maildir = OctetMaildir(tmp_path / "mail")
    key = maildir.deliver([b"Subject: x\r\n", memoryview(b"\r\nhi\r\n")])
    assert maildir[key]["Subject"] == "x"
    assert maildir.keys() == [key]
    with (tmp_path / "mail" / "new" / key).open("rb") as file:
        assert file.read() == PLAIN


def test_reset_removes_all_messages(handler: Mailbox) -> None:
    asyncio.run(give(handler, PLAIN))
    asyncio.run(give(handler, PLAIN))
    assert len(handler.mailbox) == 2
    handler.reset()
    assert len(handler.mailbox) == 0
    assert not files(handler.mail_dir)
    assert asyncio.run(give(handler, PLAIN)) == "250 OK"


def test_the_attributes_of_old_are_there(tmp_path: Path) -> None:
    handler = Mailbox(tmp_path / "mail", Message)
    assert handler.mail_dir == tmp_path / "mail"
    assert isinstance(handler.mailbox, mailbox.Maildir)
    assert handler.message_class is Message


def test_a_directory_that_is_there_is_completed(tmp_path: Path) -> None:
    handler = Mailbox(str(tmp_path))
    assert asyncio.run(give(handler, PLAIN)) == "250 OK"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cur", "new", "tmp"]
    assert len(Mailbox(tmp_path).mailbox) == 1


def test_a_directory_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        Mailbox(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        Mailbox(tmp_path / "not" / "there")


def test_mail_is_for_its_owner(handler: Mailbox) -> None:
    if os.name != "nt":
        assert stat.S_IMODE(os.stat(handler.mail_dir).st_mode) == 0o700


def test_from_the_command_line(tmp_path: Path) -> None:
    handler = Mailbox.from_cli(argparse.ArgumentParser(), str(tmp_path / "mail"))
    assert type(handler) is Mailbox
    assert handler.mail_dir == str(tmp_path / "mail")


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ((), "The directory for the maildir is required"),
        (("a", "b"), "Too many arguments for Mailbox handler"),
    ],
)
def test_the_command_line_wants_one_directory(
    args: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        Mailbox.from_cli(argparse.ArgumentParser(), *args)
    assert capsys.readouterr().err.endswith(f"error: {complaint}\n")
