"""The mechanisms as step machines: the vectors of the RFCs, and every way to get each of them wrong."""

from __future__ import annotations

import base64
import copy
import pickle
from typing import Any

import pytest
from scramp import ScramClient, ScramException, ScramMechanism

from aiosmtpd.auth import (
    DEFAULT_MECHANISMS,
    BadResponse,
    BearerToken,
    Challenge,
    Context,
    CramMd5,
    External,
    ExternalIdentity,
    KeyRequest,
    Login,
    LoginPassword,
    Mechanism,
    OAuthBearer,
    Plain,
    PlainPassword,
    ProofFailed,
    ScramKeys,
    ScramSha1,
    ScramSha1Plus,
    ScramSha256,
    ScramSha256Plus,
    VerifiedIdentity,
    XOAuth2,
)
from aiosmtpd.auth.scram import _is_installed

CONTEXT = Context(hostname="mx.example", nonce=lambda: "nonce")


def scram_keys(password: str, name: str, salt: bytes = bytes(range(16))) -> ScramKeys:
    return ScramKeys(*ScramMechanism(name).make_auth_info(password, salt=salt))


# -- PLAIN (RFC 4616), LOGIN ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "credentials", "authzid"),
    [
        (b"\0tim\0tanstaaftanstaaf", (b"tim", b"tanstaaftanstaaf"), None),  # section 4
        (b"Ursel\0Kurt\0xipj3plmq", (b"Kurt", b"xipj3plmq"), b"Ursel"),
        (b"\0\xc3\xa9\0\xff", (b"\xc3\xa9", b"\xff"), None),
    ],
)
def test_plain(response: bytes, credentials: tuple[bytes, bytes], authzid: bytes | None) -> None:
    plain = Plain(CONTEXT)
    assert plain.step(None) == Challenge(b"")
    gathered = plain.step(response)
    assert gathered == LoginPassword(*credentials)
    assert getattr(gathered, "authzid", None) == authzid
    for copied in (copy.copy(gathered), pickle.loads(pickle.dumps(gathered))):
        assert copied == gathered
        assert getattr(copied, "authzid", None) == authzid
    assert repr(gathered) == f"LoginPassword(login={credentials[0].decode()!r}, password=...)"
    assert isinstance(gathered, PlainPassword) is bool(authzid)


@pytest.mark.parametrize("response", [b"", b"tim", b"tim\0pw", b"\0a\0b\0c", b"a\0b\0c\0d"])
def test_what_is_not_plain(response: bytes) -> None:
    with pytest.raises(BadResponse):
        Plain(CONTEXT).step(response)


def test_login() -> None:
    login = Login(CONTEXT)
    assert login.step(None) == Challenge(b"User Name\0")
    assert login.step(b"tim") == Challenge(b"Password\0")
    assert login.step(b"pw") == LoginPassword(b"tim", b"pw")


def test_login_asks_what_it_is_told_to() -> None:
    class Asking(Login):
        username_challenge = b"Username:"
        password_challenge = b"Password:"

    login = Asking(CONTEXT)
    assert login.step(None) == Challenge(b"Username:")
    assert login.step(b"tim") == Challenge(b"Password:")


# -- CRAM-MD5 (RFC 2195) --------------------------------------------------------------------------

POSTOFFICE = Context(hostname="postoffice.reston.mci.net", nonce=lambda: "1896.697170952")


def test_cram_md5_as_in_the_rfc() -> None:
    mechanism = CramMd5(POSTOFFICE)
    assert mechanism.step(None) == Challenge(b"<1896.697170952@postoffice.reston.mci.net>")
    response = base64.b64decode("dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw")
    assert mechanism.step(response) == KeyRequest("shared_secret", "tim", "CRAM-MD5")
    assert mechanism.supply("tanstaaftanstaaf") == VerifiedIdentity("tim")


@pytest.mark.parametrize("secret", [None, b"", b"tanstaaf", "TANSTAAFTANSTAAF"])
def test_cram_md5_with_another_secret(secret: bytes | str | None) -> None:
    mechanism = CramMd5(POSTOFFICE)
    mechanism.step(None)
    mechanism.step(b"tim b913a602c7eda7a495b4e6e7334d3890")
    with pytest.raises(ProofFailed):
        mechanism.supply(secret)


def test_a_login_of_cram_md5_may_have_spaces() -> None:
    mechanism = CramMd5(POSTOFFICE)
    mechanism.step(None)
    request = mechanism.step(b"tim the man b913a602c7eda7a495b4e6e7334d3890")
    assert request == KeyRequest("shared_secret", "tim the man", "CRAM-MD5")
    assert mechanism.supply("tanstaaftanstaaf") == VerifiedIdentity("tim the man")


@pytest.mark.parametrize(
    "response", [b"", b"tim", b" b913a602c7eda7a495b4e6e7334d3890", b"\xff 0", b"a\0b 0"]
)
def test_what_is_not_cram_md5(response: bytes) -> None:
    mechanism = CramMd5(CONTEXT)
    mechanism.step(None)
    with pytest.raises(BadResponse):
        mechanism.step(response)


@pytest.mark.parametrize("digest", [b"", b"B913A602C7EDA7A495B4E6E7334D3890", b"b913", b"\xff"])
def test_what_is_no_digest(digest: bytes) -> None:
    mechanism = CramMd5(POSTOFFICE)
    mechanism.step(None)
    mechanism.step(b"tim " + digest)
    with pytest.raises(ProofFailed):
        mechanism.supply("tanstaaftanstaaf")


def test_cram_md5_has_no_initial_response() -> None:
    with pytest.raises(BadResponse):
        CramMd5(CONTEXT).step(b"")


def test_challenges_of_cram_md5_differ() -> None:
    assert CramMd5(Context()).step(None) != CramMd5(Context()).step(None)


# -- SCRAM (RFC 5802, RFC 7677) -------------------------------------------------------------------


class Vector:
    def __init__(
        self, cls: type[Mechanism], client: str, server: str, salt: str, proof: str, signature: str
    ) -> None:
        self.cls = cls
        self.context = Context(nonce=lambda: server)
        self.keys = scram_keys("pencil", cls.name, base64.b64decode(salt))
        self.client_first = f"n,,n=user,r={client}".encode()
        self.server_first = f"r={client}{server},s={salt},i=4096".encode()
        self.client_final = f"c=biws,r={client}{server},p={proof}".encode()
        self.server_final = f"v={signature}".encode()


RFC_5802 = Vector(
    ScramSha1,
    "fyko+d2lbbFgONRv9qkxdawL",
    "3rfcNHYJY1ZVvWVs7j",
    "QSXCR+Q6sek8bf92",
    "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = Vector(
    ScramSha256,
    "rOprNGfwEbeRWgbNEkqO",
    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "W22ZaJ0SNY7soEsUEjb6gQ==",
    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)


@pytest.mark.parametrize("vector", [RFC_5802, RFC_7677], ids=["RFC 5802", "RFC 7677"])
def test_scram_as_in_the_rfc(vector: Vector) -> None:
    mechanism = vector.cls(vector.context)
    assert mechanism.step(None) == Challenge(b"")
    request = mechanism.step(vector.client_first)
    assert request == KeyRequest("scram_keys", "user", vector.cls.name)
    assert mechanism.supply(vector.keys) == Challenge(vector.server_first)
    assert mechanism.step(vector.client_final) == Challenge(vector.server_final)
    assert mechanism.step(b"") == VerifiedIdentity("user")


BOUND = Context(
    nonce=lambda: "server",
    bindings={"tls-unique": b"unique", "tls-server-end-point": b"hash"},
    offered=frozenset({"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"}),
    abilities=frozenset({"scram_keys"}),
)


def exchange(mechanism: Any, client: Any, keys: ScramKeys | None) -> Any:
    """Let a client of the package talk to a mechanism."""
    request = mechanism.step(client.get_client_first().encode())
    assert request.mechanism == mechanism.name.removesuffix("-PLUS")
    server_first = mechanism.supply(keys)
    client.set_server_first(server_first.data.decode())
    server_final = mechanism.step(client.get_client_final().encode())
    assert isinstance(server_final, Challenge)
    client.set_server_final(server_final.data.decode())
    return mechanism.step(b"")


@pytest.mark.parametrize("kind", ["tls-unique", "tls-server-end-point"])
@pytest.mark.parametrize("cls", [ScramSha1Plus, ScramSha256Plus])
def test_scram_plus(cls: type[Mechanism], kind: str) -> None:
    keys = scram_keys("p\N{LATIN SMALL LETTER E WITH ACUTE}ncil", cls.name)
    bound = (kind, BOUND.bindings[kind])
    client = ScramClient([cls.name], "a,b=c", "pe\N{COMBINING ACUTE ACCENT}ncil", bound)
    assert exchange(cls(BOUND), client, keys) == VerifiedIdentity("a,b=c")
    client = ScramClient([cls.name], "user", "pencil", (kind, b"other"))
    with pytest.raises(ProofFailed, match="channel-bindings-dont-match"):
        exchange(cls(BOUND), client, keys)


def test_a_client_without_binding_may_do_without() -> None:
    client = ScramClient(["SCRAM-SHA-256"], "user", "pencil")
    keys = scram_keys("pencil", "SCRAM-SHA-256")
    assert exchange(ScramSha256(BOUND), client, keys) == VerifiedIdentity("user")


@pytest.mark.parametrize(
    ("cls", "flag", "fault"),
    [
        # RFC 5802 section 6: "y" says that we have not offered what we have.
        (ScramSha256, b"y", ProofFailed),
        (ScramSha1, b"y", ProofFailed),
        (ScramSha256Plus, b"y", ProofFailed),
        (ScramSha256Plus, b"n", ProofFailed),
        (ScramSha256, b"p=tls-unique", ProofFailed),
        (ScramSha256Plus, b"p=tls-exporter", ProofFailed),
        (ScramSha256Plus, b"p=", ProofFailed),
        (ScramSha256Plus, b"p", BadResponse),
        (ScramSha256, b"", BadResponse),
        (ScramSha256, b"N", BadResponse),
    ],
)
def test_flags_of_channel_binding(
    cls: type[Mechanism], flag: bytes, fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        cls(BOUND).step(flag + b",,n=user,r=client")


def test_a_client_that_could_bind_may_do_without_where_we_cannot() -> None:
    request = ScramSha256(Context()).step(b"y,,n=user,r=client")
    assert request == KeyRequest("scram_keys", "user", "SCRAM-SHA-256")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,r=client",
        b"n,,r=client,n=user",
        b"n,,n=,r=client",
        b"n,,n=user,r=",
        b"n,,n=user,n=user,r=client",
        b"n,,m=ext,n=user,r=client",
        b"n,a=other,n=user,r=client",  # an authorization identity, which there is none of
        b"n,,n=us=er,r=client",
        b"n,,n=us=2cer,r=client",
        b"n,,n=user,r=cli ent",
        b"n,,n=user,r=cli\xc3\xa9nt",
        b"n,,n=us\0er,r=client",
        b"n,,n=us\x07er,r=client",  # SASLprep prohibits it
        b"n,,n=\xff,r=client",
        b"n,,n=user,r=client\n",
        b"n,,n=" + b"u" * 500 + b",r=client",
    ],
)
def test_what_is_no_client_first_message(message: bytes) -> None:
    with pytest.raises(BadResponse):
        ScramSha256(CONTEXT).step(message)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ((b"p=d", b"p=e"), ProofFailed),
        ((b"p=dHzb", b"p="), ProofFailed),
        ((b"c=biws", b"c=eSws"), ProofFailed),
        ((b"c=biws", b"c=bixhPXgs"), ProofFailed),
        ((b"c=biws", b"c=bi"), BadResponse),
        ((b"c=biws,", b""), BadResponse),
        ((b"r=r", b"r=s"), BadResponse),
        ((b"$k0,", b"$k,"), BadResponse),
        ((b",p=", b",p=!"), BadResponse),
        ((b",p=", b",q="), BadResponse),
        ((b",p=", b",m=ext,p="), BadResponse),
        ((b"c=", b"\0="), BadResponse),
        ((b"c=", b"\xff="), BadResponse),
    ],
)
def test_what_is_no_client_final_message(
    change: tuple[bytes, bytes], fault: type[Exception]
) -> None:
    mechanism = ScramSha256(RFC_7677.context)
    mechanism.step(RFC_7677.client_first)
    mechanism.supply(RFC_7677.keys)
    message = RFC_7677.client_final.replace(*change)
    assert message != RFC_7677.client_final
    with pytest.raises(fault):
        mechanism.step(message)


def test_a_client_first_message_may_have_any_mailbox() -> None:
    """The longest has 320 octets (RFC 5321 section 4.5.3.1)."""
    login = f"{'u' * 64}@{'d' * 255}"
    request = ScramSha256(CONTEXT).step(f"n,,n={login},r={'c' * 64}".encode())
    assert request == KeyRequest("scram_keys", login, "SCRAM-SHA-256")


def test_nothing_follows_the_last_message() -> None:
    mechanism = ScramSha256(RFC_7677.context)
    mechanism.step(RFC_7677.client_first)
    mechanism.supply(RFC_7677.keys)
    mechanism.step(RFC_7677.client_final)
    with pytest.raises(BadResponse):
        mechanism.step(b"more")


def decoy_first(login: str, context: Context = CONTEXT) -> bytes:
    mechanism = ScramSha256(context)
    mechanism.step(f"n,,n={login},r=client".encode())
    challenge = mechanism.supply(None)
    assert isinstance(challenge, Challenge)
    with pytest.raises(ProofFailed):
        mechanism.step(b"c=biws,r=clientnonce,p=" + base64.b64encode(bytes(32)))
    return challenge.data


def test_a_login_that_does_not_exist_looks_like_one_that_does() -> None:
    shown = decoy_first("nobody")
    known = ScramSha256(CONTEXT)
    known.step(b"n,,n=user,r=client")
    expected = known.supply(scram_keys("pencil", "SCRAM-SHA-256")).data
    assert [part[:2] for part in shown.split(b",")] == [part[:2] for part in expected.split(b",")]
    assert len(shown) == len(expected)
    assert decoy_first("nobody") == shown
    assert decoy_first("somebody") != shown
    assert decoy_first("nobody", Context(nonce=lambda: "nonce", decoy_secret=b"x")) != shown


def test_a_password_never_fits_a_login_that_does_not_exist() -> None:
    client = ScramClient(["SCRAM-SHA-256"], "nobody", "pencil")
    with pytest.raises(ProofFailed, match="invalid-proof"):
        exchange(ScramSha256(CONTEXT), client, None)


@pytest.mark.parametrize(
    "keys",
    [ScramKeys(b"short", bytes(32), bytes(32)), ScramKeys(bytes(16), bytes(32), bytes(32), 5)],
)
def test_keys_that_cannot_be_used(keys: ScramKeys) -> None:
    mechanism = ScramSha256(CONTEXT)
    mechanism.step(b"n,,n=user,r=client")
    with pytest.raises(RuntimeError, match="unusable keys"):
        mechanism.supply(keys)


def test_nonces_differ() -> None:
    first, second = ScramSha256(Context()), ScramSha256(Context())
    for mechanism in (first, second):
        mechanism.step(b"n,,n=user,r=client")
    assert first.supply(None) != second.supply(None)


def test_no_fault_tells_what_the_client_sent() -> None:
    for message in (b"n,,n=s3cret=,r=x", b"n,,s3cret", b"\xffs3cret", b"p=s3cret,,n=a,r=b"):
        with pytest.raises((BadResponse, ProofFailed)) as fault:
            ScramSha256(CONTEXT).step(message)
        assert "s3cret" not in str(fault.value)
        assert fault.value.__cause__ is None
        assert fault.value.__suppress_context__ or fault.value.__context__ is None


# -- OAUTHBEARER (RFC 7628), XOAUTH2 --------------------------------------------------------------

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_oauthbearer_as_in_the_rfc() -> None:
    response = base64.b64decode(
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
        "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )
    mechanism = OAuthBearer(CONTEXT)
    assert mechanism.step(None) == Challenge(b"")
    gathered = mechanism.step(response)
    assert gathered == BearerToken(TOKEN, "user@example.com", "server.example.com", 143)
    assert TOKEN not in repr(gathered)
    assert mechanism.refused() == Challenge(b'{"status": "invalid_token"}')


@pytest.mark.parametrize(
    ("message", "user"),
    [
        (b"n,,\x01auth=Bearer t\x01\x01", None),
        (b"y,,\x01auth=Bearer t\x01\x01", None),
        (b"n,a=a=2Cb=3Dc,\x01auth=bearer  t\x01\x01", "a,b=c"),
        (
            b"n,a=\xc3\xa9,\x01auth=BEARER t\x01qs=a=b\x01\x01",
            "\N{LATIN SMALL LETTER E WITH ACUTE}",
        ),
    ],
)
def test_oauthbearer(message: bytes, user: str | None) -> None:
    assert OAuthBearer(CONTEXT).step(message) == BearerToken("t", user)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"n,,",
        b"n,,\x01",
        b"n,,\x01\x01",
        b"n,,auth=Bearer t\x01\x01",
        b"n,,\x01auth=Bearer t",
        b"n,,\x01auth=Bearer t\x01",
        b"n,,\x01auth=Bearer t\x01\x01\x01",
        b"n,,\x01\x01auth=Bearer t\x01\x01",
        b"n,,\x01auth=Bearer t\x01\x01x",
        b"n,,\x01auth=Bearer t\x01auth=Bearer u\x01\x01",
        b"n,,\x01Auth Bearer t\x01\x01",
        b"n,,\x01=x\x01auth=Bearer t\x01\x01",
        b"n,,\x01auth=Basic dDp0\x01\x01",
        b"n,,\x01auth=Bearer\x01\x01",
        b"n,,\x01auth=Bearer t u\x01\x01",
        b"n,,\x01auth=Bearer \xc3\xa9\x01\x01",
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01port=x\x01auth=Bearer t\x01\x01",
        b"n,,\x01port=999999\x01auth=Bearer t\x01\x01",
        b"n\x01auth=Bearer t\x01\x01",
        b"n,user,\x01auth=Bearer t\x01\x01",
        b"n,a=,\x01auth=Bearer t\x01\x01",
        b"n,a==2c,\x01auth=Bearer t\x01\x01",
        b"p=tls-unique,,\x01auth=Bearer t\x01\x01",
        b"n,a=a\0b,\x01auth=Bearer t\x01\x01",
        b"n,a=\xff,\x01auth=Bearer t\x01\x01",
    ],
)
def test_what_is_not_oauthbearer(message: bytes) -> None:
    with pytest.raises(BadResponse):
        OAuthBearer(CONTEXT).step(message)


def test_a_client_may_ask_where_to_get_a_token() -> None:
    class Told(OAuthBearer):
        scope = "example_scope"
        openid_configuration = "https://example.com/.well-known/openid-configuration"

    mechanism = Told(CONTEXT)
    with pytest.raises(ProofFailed):
        mechanism.step(b"n,,\x01auth=\x01\x01")
    assert mechanism.refused() == Challenge(
        b'{"status": "invalid_token", "scope": "example_scope", "openid-configuration": '
        b'"https://example.com/.well-known/openid-configuration"}'
    )


def test_xoauth2() -> None:
    class Told(XOAuth2):
        scope = "https://mail.google.com/"

    mechanism = Told(CONTEXT)
    assert mechanism.step(None) == Challenge(b"")
    message = b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2\x01\x01"
    assert mechanism.step(message) == BearerToken("ya29.vF9dft4qmTc2", "someuser@example.com")
    assert mechanism.refused() == Challenge(
        b'{"status": "401", "schemes": "bearer", "scope": "https://mail.google.com/"}'
    )
    assert XOAuth2(CONTEXT).refused() == Challenge(b'{"status": "401", "schemes": "bearer"}')


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"user=a\x01auth=Bearer t\x01",
        b"user=a\x01auth=Bearer t",
        b"user=\x01auth=Bearer t\x01\x01",
        b"auth=Bearer t\x01\x01",
        b"user=a\x01\x01",
        b"user=a\x01auth=t\x01\x01",
        b"n,a=a,\x01auth=Bearer t\x01\x01",
    ],
)
def test_what_is_not_xoauth2(message: bytes) -> None:
    with pytest.raises(BadResponse):
        XOAuth2(CONTEXT).step(message)


# -- EXTERNAL (RFC 4422) --------------------------------------------------------------------------

CERTIFICATE = {"subject": ((("commonName", "anne"),),)}
CERTIFIED = Context(
    certificate=CERTIFICATE, certificate_der=b"der", abilities=frozenset({"check_certificate"})
)


@pytest.mark.parametrize(("response", "authzid"), [(b"", None), (b"anne", "anne")])
def test_external(response: bytes, authzid: str | None) -> None:
    mechanism = External(CERTIFIED)
    assert mechanism.step(None) == Challenge(b"")
    assert mechanism.step(response) == ExternalIdentity(CERTIFICATE, b"der", authzid)


@pytest.mark.parametrize("response", [b"\xff", b"a\0b"])
def test_what_is_not_external(response: bytes) -> None:
    with pytest.raises(BadResponse):
        External(CERTIFIED).step(response)


# -- what is offered ------------------------------------------------------------------------------

ALL = frozenset(
    {"check_password", "scram_keys", "shared_secret", "check_token", "check_certificate"}
)
PASSWORDS = ["PLAIN", "LOGIN"]
TOKENS = ["OAUTHBEARER", "XOAUTH2"]
SCRAM = ["SCRAM-SHA-256", "SCRAM-SHA-1"]
PLUS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]


@pytest.mark.parametrize(
    ("context", "names"),
    [
        (Context(), []),
        (Context(abilities=frozenset({"check_password"})), PASSWORDS),
        (Context(abilities=frozenset({"check_token"})), TOKENS),
        (Context(abilities=frozenset({"check_certificate"})), []),
        (CERTIFIED, ["EXTERNAL"]),
        (Context(abilities=frozenset({"scram_keys"})), SCRAM),
        (BOUND, SCRAM + PLUS),
        (Context(abilities=frozenset({"scram_keys"}), bindings={"tls-new": b"x"}), SCRAM),
        (Context(abilities=ALL), PASSWORDS + TOKENS + SCRAM),
    ],
)
def test_what_is_offered(context: Context, names: list[str]) -> None:
    usable = {mechanism.name for mechanism in DEFAULT_MECHANISMS if mechanism.usable(context)}
    assert usable == set(names)


def test_scram_is_offered_where_its_package_is_and_else_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _is_installed.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    try:
        assert not ScramSha256.usable(CONTEXT)  # nobody has keys, so nobody misses it
        assert not caplog.records
        assert not ScramSha256.usable(BOUND)
        assert not ScramSha256Plus.usable(BOUND)
    finally:
        _is_installed.cache_clear()
    assert [record.message for record in caplog.records] == [
        "SCRAM is not offered: aiosmtpd[scram] is not installed"
    ]


def test_cram_md5_is_off_unless_asked_for() -> None:
    assert CramMd5 not in DEFAULT_MECHANISMS
    assert CramMd5.usable(Context(abilities=ALL))


def test_a_mechanism_that_asks_for_no_keys_takes_none() -> None:
    with pytest.raises(NotImplementedError):
        Plain(CONTEXT).supply(b"key")


@pytest.mark.parametrize(
    "secretive",
    [
        ScramKeys(b"salt", b"s3cret", b"s3cret"),
        BearerToken("s3cret"),
        PlainPassword(b"anne", b"s3cret", b"bart"),
        Context(decoy_secret=b"s3cret"),
    ],
)
def test_no_secret_in_a_repr(secretive: Any) -> None:
    assert "s3cret" not in repr(secretive)
    assert "s3cret" not in str(secretive)


def test_the_client_of_the_tests_checks_the_server() -> None:
    # Otherwise the tests above would show less than they seem to.
    client = ScramClient(["SCRAM-SHA-256"], "user", "pencil")
    mechanism = ScramSha256(CONTEXT)
    mechanism.step(client.get_client_first().encode())
    keys = scram_keys("pencil", "SCRAM-SHA-256")
    first = mechanism.supply(keys)
    assert isinstance(first, Challenge)
    client.set_server_first(first.data.decode())
    client.get_client_final()
    with pytest.raises(ScramException):
        client.set_server_final("v=" + base64.b64encode(bytes(32)).decode())
