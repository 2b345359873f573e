"""OIDC bearer tokens, with real RSA and EC keys and a real HTTP server that publishes them."""

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import ValidationError

from service.access import jwks
from service.access.oidc import OidcTokens
from service.config.access import Scope
from service.errors import Forbidden, Unauthenticated
from tests.at_once import LONG_SECONDS
from tests.support.fake_clock import FakeClock
from tests.support.oidc_provider import Provider, settings_for


@pytest.mark.parametrize("key_id", ["one", "two"])
def test_claims_become_scope_and_projects(provider: Provider, tokens: OidcTokens, key_id: str) -> None:
    caller = tokens.authenticate(provider.token(key_id, projects=["team-pets", "unknown"]))
    assert (caller.subject, caller.scope, caller.projects) == ("oidc:ada", Scope.OPERATOR, frozenset({"pets"}))


def test_the_largest_scope_counts_and_a_star_means_all_projects(provider: Provider, tokens: OidcTokens) -> None:
    caller = tokens.authenticate(provider.token("one", roles="ml-ops ml-admins", projects="everything"))
    assert (caller.scope, caller.projects) == (Scope.ADMIN, None)


@pytest.mark.attack
def test_claims_that_map_to_nothing_give_nothing(provider: Provider, tokens: OidcTokens) -> None:
    with pytest.raises(Forbidden, match="roles"):
        tokens.authenticate(provider.token("one", roles=["guest"]))
    # A claim is not a project: `*` and `pets` mean nothing until they are mapped.
    assert tokens.authenticate(provider.token("one", projects=["*", "pets"])).projects == frozenset()


@pytest.mark.attack
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another service"},
        {"exp": 1},
        {"nbf": 9_999_999_999},
        {"exp": None},
        {"iss": None},
        {"aud": None},
        {"sub": None},
    ],
)
def test_a_token_for_others_or_out_of_time_is_refused(
    provider: Provider, tokens: OidcTokens, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.authenticate(provider.token("one", **claims))


@pytest.mark.attack
@pytest.mark.parametrize("subject", ["ada\0", "\0", "ada\ud800", "\x1b[2J", "ada\x9b", "\u202eada", "a" * 256])
def test_a_subject_that_cannot_be_stored_or_shown_is_refused(
    provider: Provider, tokens: OidcTokens, subject: str
) -> None:
    with pytest.raises(Unauthenticated, match="sub"):
        tokens.authenticate(provider.token("one", sub=subject))


def test_clocks_may_differ_by_the_leeway(provider: Provider, tokens: OidcTokens) -> None:
    now = int(time.time())
    tokens.authenticate(provider.token("one", exp=now - 10, nbf=now - 60))
    tokens.authenticate(provider.token("one", nbf=now + 10, iat=now + 10))
    with pytest.raises(Unauthenticated):
        tokens.authenticate(provider.token("one", exp=now - 40))


@pytest.mark.attack
def test_no_signature_and_a_secret_in_the_place_of_a_key_are_refused(provider: Provider, tokens: OidcTokens) -> None:
    claims = provider.claims()
    unsigned = jwt.encode(claims, "", "none", headers={"kid": "one"})
    public = provider.private["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    # PyJWT refuses to sign with a PEM, but an attacker's tool would not.
    confused = _hs256(claims, pem)
    for token in (unsigned, confused):
        with pytest.raises(Unauthenticated, match="algorithm"):
            tokens.authenticate(token)


@pytest.mark.attack
def test_a_secret_among_the_published_keys_is_no_key(provider: Provider, tokens: OidcTokens) -> None:
    provider.extra = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ"}]
    with pytest.raises(Unauthenticated):
        tokens.authenticate(provider.token("one", headers={"kid": "shared"}))


@pytest.mark.attack
def test_the_algorithm_must_be_the_keys_own(provider: Provider, tokens: OidcTokens) -> None:
    with pytest.raises(Unauthenticated):
        tokens.authenticate(provider.token("one", headers={"kid": "two"}))


@pytest.mark.attack
@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "one' or '1'='1"},
        {"kid": "\x1b[2J"},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
    ],
    ids=str,
)
def test_headers_that_ask_for_another_key_or_reading_are_refused(
    provider: Provider, tokens: OidcTokens, headers: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.authenticate(_signed(provider.private["one"], {"alg": "RS256", "kid": "one", **headers}, provider))


@pytest.mark.attack
@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_a_key_that_the_token_brings_along_is_not_used(provider: Provider, tokens: OidcTokens, name: str) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key(), as_dict=True)
    value = {"jku": provider.url, "x5u": provider.url, "jwk": key, "x5c": ["AAAA"]}[name]
    fetches = provider.fetches
    for kid in ({"kid": "one"}, {"kid": "mine"}, {}):
        with pytest.raises(Unauthenticated):
            tokens.authenticate(_signed(own, {"alg": "RS256", **kid, name: value}, provider))
    assert provider.fetches - fetches <= 2  # from the address in the settings


@pytest.mark.attack
@pytest.mark.parametrize("spoil", [lambda t: t[:-4] + "AAAA", lambda t: "x.y.z", lambda t: "", lambda t: "a" * 20_000])
def test_what_is_no_good_token_is_refused(provider: Provider, tokens: OidcTokens, spoil: Callable[[str], str]) -> None:
    with pytest.raises(Unauthenticated):
        tokens.authenticate(spoil(provider.token("one")))


def test_keys_are_fetched_once_and_again_when_they_are_old(
    provider: Provider, tokens: OidcTokens, clock: FakeClock
) -> None:
    for _ in range(3):
        tokens.authenticate(provider.token("one"))
    assert provider.fetches == 1
    clock.now += 3600
    tokens.authenticate(provider.token("one"))
    assert provider.fetches == 2


@pytest.mark.attack
def test_a_new_key_is_found_and_made_up_ones_do_not_flood_the_provider(
    provider: Provider, tokens: OidcTokens, clock: FakeClock
) -> None:
    tokens.authenticate(provider.token("one"))
    provider.add_ec("three")
    clock.now += 31
    tokens.authenticate(provider.token("three"))
    for number in range(20):
        with pytest.raises(Unauthenticated):
            tokens.authenticate(provider.token("one", headers={"kid": f"made up {number}"}))
    assert provider.fetches == 2


def test_a_key_that_is_withdrawn_is_refused_after_the_cache_is_old(
    provider: Provider, tokens: OidcTokens, clock: FakeClock
) -> None:
    token = provider.token("one")
    tokens.authenticate(token)
    del provider.private["one"]
    clock.now += 3600
    with pytest.raises(Unauthenticated):
        tokens.authenticate(token)


def test_known_keys_stay_good_while_the_provider_is_away(
    provider: Provider, tokens: OidcTokens, clock: FakeClock
) -> None:
    tokens.authenticate(provider.token("one"))
    provider.status = 500
    clock.now += 3600
    tokens.authenticate(provider.token("one"))
    assert provider.fetches == 2
    with pytest.raises(Unauthenticated):
        OidcTokens(settings_for(provider), clock).authenticate(provider.token("one"))


def test_callers_with_a_known_key_do_not_wait_for_a_provider_that_hangs(
    provider: Provider, tokens: OidcTokens, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "DOWNLOAD_SECONDS", 2 * LONG_SECONDS)
    tokens.authenticate(provider.token("one"))
    provider.asked.clear()
    provider.dribble = threading.Event()
    clock.now += 3600
    with ThreadPoolExecutor(2) as threads:
        fetching = threads.submit(tokens.authenticate, provider.token("one"))
        try:
            assert provider.asked.wait(LONG_SECONDS)
            assert threads.submit(tokens.authenticate, provider.token("one")).result(LONG_SECONDS).subject == "oidc:ada"
            assert not fetching.done()
        finally:
            provider.dribble.set()
        assert fetching.result(LONG_SECONDS).subject == "oidc:ada"


def test_callers_who_come_before_the_first_keys_wait_for_them(provider: Provider, tokens: OidcTokens) -> None:
    with ThreadPoolExecutor(4) as threads:
        callers = list(threads.map(tokens.authenticate, [provider.token("one")] * 4))
    assert {caller.subject for caller in callers} == {"oidc:ada"}
    assert provider.fetches == 1


def test_a_provider_that_dribbles_its_keys_is_left_in_time(
    provider: Provider, tokens: OidcTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "DOWNLOAD_SECONDS", 0.3)
    provider.dribble = threading.Event()
    relief = threading.Timer(20.0, provider.dribble.set)
    relief.start()
    with pytest.raises(Unauthenticated, match="does not publish"):
        tokens.authenticate(provider.token("one"))
    relief.cancel()
    assert not provider.dribble.is_set(), "it was waited for until it had enough"


@pytest.mark.attack
@pytest.mark.parametrize(
    "changes", [{"algorithms": ("HS256",)}, {"algorithms": ("none",)}, {"jwks_url": "http://id.example/jwks"}]
)
def test_unsafe_settings_are_refused(provider: Provider, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings_for(provider, **changes)


def _hs256(claims: dict[str, Any], secret: bytes) -> str:
    import base64
    import hmac

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encode(json.dumps({"alg": "HS256", "kid": "one", "typ": "JWT"}).encode())
    signed = f"{head}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _signed(private: rsa.RSAPrivateKey, header: dict[str, Any], provider: Provider) -> str:
    """A token with an arbitrary header, some of which PyJWT would refuse to write."""

    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part(header) + b"." + part(provider.claims())
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
