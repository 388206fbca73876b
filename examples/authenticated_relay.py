"""A submission server: take mail from users who log in, and pass it on to the next hop.

TLS comes before AUTH, AUTH before mail. Passwords are kept as scrypt hashes; checking one takes a
tenth of a second of a processor by intention, so it is done in a thread, and the other clients go on::

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
from typing import Any

from aiosmtpd.handlers import Proxy
from aiosmtpd.server import serve
from aiosmtpd.session import Envelope, Session
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def hash_password(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=2**15, r=8, p=1, maxmem=2**26)


def record(password: bytes) -> tuple[bytes, bytes]:
    salt = os.urandom(16)
    return salt, hash_password(password, salt)


class Users:
    """Who may send; a real program would ask its database here."""

    def __init__(self, passwords: dict[bytes, bytes]) -> None:
        self._records = {login: record(password) for login, password in passwords.items()}
        self._nobody = record(os.urandom(16))

    async def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth_data: Any
    ) -> AuthResult:
        if not isinstance(auth_data, LoginPassword):
            return AuthResult(success=False, handled=False)
        # An unknown user costs as much time as a wrong password, so that nobody can tell which.
        salt, expected = self._records.get(auth_data.login, self._nobody)
        found = await asyncio.to_thread(hash_password, auth_data.password, salt)
        if not hmac.compare_digest(found, expected):
            return AuthResult(success=False, handled=False)
        return AuthResult(success=True, auth_data=auth_data.login.decode())


async def main(cert: str, key: str, next_host: str, next_port: int, port: int = 8587) -> None:
    users = Users({b"anne": b"correct horse"})
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with serve(
        Proxy(next_host, next_port),
        "localhost",
        port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=users.authenticate,
    ) as server:
        print(f"listening on port {server.port}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    cert, key, next_host, *ports = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(cert, key, next_host, *map(int, ports)))
