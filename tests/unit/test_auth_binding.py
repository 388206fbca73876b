"""Channel bindings over real TLS: the server computes what a client does, or does not offer it."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from scramp import ScramClient, ScramMechanism

from aiosmtpd.auth import (
    Authenticator,
    ChannelBindings,
    Context,
    ExternalIdentity,
    ScramKeys,
    ScramSha256Plus,
)

if TYPE_CHECKING:
    from tests.unit.conftest import Client, Run, Serve

ECDSA, RSA = trustme.KeyType.ECDSA, trustme.KeyType.RSA
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def issued(authority: trustme.CA) -> dict[trustme.KeyType, trustme.LeafCert]:
    return {kind: authority.issue_cert("mx.example", key_type=kind) for kind in (ECDSA, RSA)}


def served(*certificates: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for certificate in certificates:
        certificate.configure_cert(context)
    return context


def end_point(context: ssl.SSLContext) -> bytes | None:
    return ChannelBindings({"sslcontext": context}).get("tls-server-end-point")


def hash_of(certificate: trustme.LeafCert) -> bytes:
    pem = certificate.cert_chain_pems[0].bytes().decode()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()


# -- tls-server-end-point (RFC 5929 section 4) ----------------------------------------------------


@pytest.mark.parametrize("kind", [ECDSA, RSA])
@pytest.mark.parametrize("versions", [(None, None), (TLS12, TLS12), (TLS13, TLS13)])
def test_the_certificate_of_a_server(
    issued: dict[trustme.KeyType, trustme.LeafCert], kind: trustme.KeyType, versions: Any
) -> None:
    context = served(issued[kind])
    if versions[0] is not None:
        context.minimum_version, context.maximum_version = versions
    assert end_point(context) == hash_of(issued[kind])


def test_a_certificate_that_is_renewed(
    authority: trustme.CA, issued: dict[trustme.KeyType, trustme.LeafCert]
) -> None:
    context = served(issued[ECDSA])
    bindings = ChannelBindings({"sslcontext": context})
    assert bindings["tls-server-end-point"] == hash_of(issued[ECDSA])
    renewed = authority.issue_cert("mx.example")
    renewed.configure_cert(context)
    assert bindings["tls-server-end-point"] == hash_of(renewed)


def ambiguous(issued: dict[trustme.KeyType, trustme.LeafCert]) -> Iterator[ssl.SSLContext]:
    yield served()  # without a certificate no handshake succeeds
    yield served(issued[ECDSA], issued[RSA])  # it depends on the client
    by_name = served(issued[ECDSA])
    by_name.sni_callback = lambda *_: None  # it depends on the name
    yield by_name
    demanding = served(issued[ECDSA])
    demanding.verify_mode = ssl.CERT_REQUIRED
    yield demanding
    yield ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_contexts_that_are_not_bound_to(
    issued: dict[trustme.KeyType, trustme.LeafCert],
) -> None:
    for context in ambiguous(issued):
        bindings = ChannelBindings({"sslcontext": context})
        assert dict(bindings) == {}
        assert len(bindings) == 0
        assert not bindings
        with pytest.raises(KeyError):
            bindings["tls-server-end-point"]


def test_a_context_that_asks_for_certificates(
    issued: dict[trustme.KeyType, trustme.LeafCert],
) -> None:
    context = served(issued[ECDSA])
    context.verify_mode = ssl.CERT_OPTIONAL
    assert end_point(context) == hash_of(issued[ECDSA])


@pytest.mark.parametrize(
    ("signed_with", "hashed_with"),
    [("sha512", "sha512"), ("sha384", "sha384"), ("sha1", "sha256"), ("md5", "sha256")],
)
def test_the_hash_is_that_of_the_signature(
    issued: dict[trustme.KeyType, trustme.LeafCert],
    monkeypatch: pytest.MonkeyPatch,
    signed_with: str,
    hashed_with: str,
) -> None:
    monkeypatch.setattr("asn1crypto.x509.Certificate.hash_algo", signed_with)
    pem = issued[ECDSA].cert_chain_pems[0].bytes().decode()
    expected = hashlib.new(hashed_with, ssl.PEM_cert_to_DER_cert(pem)).digest()
    assert end_point(served(issued[ECDSA])) == expected


def test_a_signature_without_a_hash(
    issued: dict[trustme.KeyType, trustme.LeafCert], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> str:
        raise ValueError("Ed25519 has none")

    monkeypatch.setattr("asn1crypto.x509.Certificate.hash_algo", property(fail))
    assert end_point(served(issued[ECDSA])) is None


def test_without_the_package_for_certificates(
    issued: dict[trustme.KeyType, trustme.LeafCert], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert end_point(served(issued[ECDSA])) is None


def test_without_tls_there_is_nothing_to_bind_to() -> None:
    assert dict(ChannelBindings(None)) == {}
    assert dict(ChannelBindings({"sslcontext": None, "ssl_object": None})) == {}


class Secure:
    """What a transport shows of TLS."""

    def __init__(self, version: str, data: bytes | None = b"data") -> None:
        self._version = version
        self._data = data

    def version(self) -> str:
        return self._version

    def get_channel_binding(self, kind: str) -> bytes | None:
        return self._data


@pytest.mark.parametrize(
    ("version", "types", "expected"),
    [
        ("TLSv1.2", ["tls-unique"], ["tls-unique"]),
        ("TLSv1.2", ["tls-unique", "tls-exporter"], ["tls-unique"]),
        ("TLSv1.3", ["tls-unique"], []),
        ("TLSv1.3", ["tls-unique", "tls-exporter"], ["tls-exporter"]),
        ("TLSv1.2", [], []),
    ],
)
def test_bindings_by_version(
    monkeypatch: pytest.MonkeyPatch, version: str, types: list[str], expected: list[str]
) -> None:
    monkeypatch.setattr(ssl, "CHANNEL_BINDING_TYPES", types)
    bindings = ChannelBindings({"ssl_object": Secure(version)})
    assert dict(bindings) == dict.fromkeys(expected, b"data")


def test_a_binding_that_has_no_data() -> None:
    bindings = ChannelBindings({"ssl_object": Secure("TLSv1.2", None)})
    assert "tls-unique" not in bindings


def test_what_is_bound_to_is_worked_out_once_an_exchange() -> None:
    asked = []

    class Bindings(dict[str, bytes]):
        def get(self, kind: str, default: Any = None) -> Any:
            asked.append(kind)
            return super().get(kind, default)

        def __getitem__(self, kind: str) -> bytes:
            asked.append(kind)
            return super().__getitem__(kind)

        def __contains__(self, kind: object) -> bool:  # as of any Mapping
            return self.get(str(kind)) is not None

    bindings = Bindings({"tls-server-end-point": b"data"})
    mechanism = ScramSha256Plus(Context(abilities=frozenset({"scram_keys"}), bindings=bindings))
    mechanism.step(b"p=tls-server-end-point,,n=anne,r=client")
    mechanism.supply(None)
    assert asked == ["tls-server-end-point"]


# -- over a socket --------------------------------------------------------------------------------


class Directory(Authenticator):
    async def scram_keys(self, session: Any, login: str, mechanism: str) -> ScramKeys | None:
        return ScramKeys(*ScramMechanism(mechanism).make_auth_info("pencil"))

    def check_certificate(self, session: Any, identity: ExternalIdentity) -> str | None:
        names = [value for ((_, value), *_) in identity.certificate["subject"]]
        assert identity.der is not None
        return "anne" if "anne" in names else None


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def offered(client: Client) -> list[str]:
    lines = await client.say("EHLO client.example")
    return next((line[9:].split() for line in lines if line[4:8] == "AUTH"), [])


async def authenticate(client: Client, name: str, binding: tuple[str, bytes] | None) -> str:
    """Authenticate, and believe the server only if it proves that it knows the password."""
    scram = ScramClient([name], "anne", "pencil", binding)
    (told,) = await client.say(f"AUTH {name} {b64(scram.get_client_first())}")
    if not told.startswith("334 "):
        return told
    scram.set_server_first(base64.b64decode(told[4:]).decode())
    (told,) = await client.say(b64(scram.get_client_final()))
    if not told.startswith("334 "):
        return told
    scram.set_server_final(base64.b64decode(told[4:]).decode())
    return (await client.say(""))[0]


SUCCESS = "235 2.7.0 Authentication successful"
INVALID = "535 5.7.8 Authentication credentials invalid"
SCRAM = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
PLUS = [f"{name}-PLUS" for name in SCRAM]


@pytest.mark.parametrize("kind", ["tls-unique", "tls-server-end-point"])
@pytest.mark.parametrize("implicit", [False, True])
def test_scram_plus_over_tls(
    run: Run,
    serve: Serve,
    authority: trustme.CA,
    issued: dict[trustme.KeyType, trustme.LeafCert],
    kind: str,
    implicit: bool,
) -> None:
    async def test() -> None:
        context = served(issued[ECDSA])
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        if kind == "tls-unique":
            trusting.maximum_version = TLS12
        arguments: dict[str, Any] = {"authenticator": Directory()}
        if implicit:
            arguments |= {"implicit": context, "client": trusting}
        else:
            arguments |= {"tls_context": context}
        for name in PLUS:
            for right in (True, False):
                async with serve(**arguments) as (client, _):
                    if not implicit:
                        assert await offered(client) == []
                        await client.starttls(trusting)
                    assert await offered(client) == sorted(SCRAM + PLUS)
                    secure = client.writer.get_extra_info("ssl_object")
                    data = hash_of(issued[ECDSA])
                    if kind == "tls-unique":
                        data = secure.get_channel_binding("tls-unique")
                    binding = (kind, data if right else bytes(len(data)))
                    told = await authenticate(client, name, binding)
                    assert told == (SUCCESS if right else INVALID)

    run(test)


def test_plus_is_not_offered_where_it_cannot_be_kept(
    run: Run, serve: Serve, authority: trustme.CA, issued: dict[trustme.KeyType, trustme.LeafCert]
) -> None:
    async def test() -> None:
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        trusting.minimum_version = TLS13
        context = served(issued[ECDSA], issued[RSA])
        async with serve(authenticator=Directory(), tls_context=context) as (client, _):
            await client.say("EHLO client.example")
            await client.starttls(trusting)
            assert await offered(client) == SCRAM
            assert await authenticate(client, "SCRAM-SHA-256", None) == SUCCESS

    run(test)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_client_certificate(
    run: Run,
    serve: Serve,
    authority: trustme.CA,
    issued: dict[trustme.KeyType, trustme.LeafCert],
    trusted: bool,
) -> None:
    async def test() -> None:
        context = served(issued[ECDSA])
        if trusted:
            context.verify_mode = ssl.CERT_OPTIONAL
            authority.configure_trust(context)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        authority.issue_cert("anne@example.com", common_name="anne").configure_cert(trusting)
        async with serve(authenticator=Directory(), tls_context=context) as (client, registry):
            await client.say("EHLO client.example")
            await client.starttls(trusting)
            assert ("EXTERNAL" in await offered(client)) is trusted
            (told,) = await client.say("AUTH EXTERNAL =")
            if not trusted:
                assert told == "504 5.5.4 Unrecognized authentication type"
                return
            assert told == SUCCESS
            assert registry.made[0].session.auth_identity == "anne"

    run(test)
