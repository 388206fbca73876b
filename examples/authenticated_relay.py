"""A submission server: take mail from users who log in, and pass it on to the next hop.

TLS comes before AUTH, AUTH before mail, and nobody sends in the name of another. Passwords are kept as
scrypt hashes; checking one takes a tenth of a second of a processor by intention, so it is done in a
thread, and the other clients go on. For users in a file, there is ``aiosmtpd.auth.UsersFile``::

    $ python examples/authenticated_relay.py cert.pem key.pem smtp.example.com 25

The certificate may be made as ``starttls.py`` says. The user is ``anne``, the password
``correct horse``.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import ssl
import sys

from aiosmtpd.auth import Authenticator
from aiosmtpd.handlers import Proxy
from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP


def hash_password(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=2**15, r=8, p=1, maxmem=2**26)


def record(password: bytes) -> tuple[bytes, bytes]:
    salt = os.urandom(16)
    return salt, hash_password(password, salt)


class Users(Authenticator):
    """Who may send; a real program would ask its database here."""

    def __init__(self, passwords: dict[str, bytes]) -> None:
        self._records = {login: record(password) for login, password in passwords.items()}
        self._nobody = record(os.urandom(16))

    async def check_password(self, session: Session, login: str, password: bytes) -> bool:
        # An unknown user costs as much time as a wrong password, so that nobody can tell which.
        salt, expected = self._records.get(login, self._nobody)
        found = await asyncio.to_thread(hash_password, password, salt)
        return hmac.compare_digest(found, expected)


def own_address_only(server: SMTP, session: Session, envelope: Envelope, address: str) -> bool:
    return address == f"{session.auth_identity}@example.com"


async def main(cert: str, key: str, next_host: str, next_port: int, port: int = 8587) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with serve(
        Proxy(next_host, next_port),
        "localhost",
        port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=Users({"anne": b"correct horse"}),
        sender_policy=own_address_only,
    ) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    cert, key, next_host, *ports = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(cert, key, next_host, *map(int, ports)))
