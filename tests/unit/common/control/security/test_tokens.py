"""The token file and signed tokens."""

from __future__ import annotations

import base64
import datetime
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hedgerow.common.control.security import files
from hedgerow.common.control.security.caller import Caller, RoleRules
from hedgerow.common.control.security.jwtkeys import SignedTokens, read_keys
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.tokens import TokenFile, entry_line, new_token, read_tokens
from hedgerow.common.errors import BadInput, Unauthenticated

HOUR = datetime.timedelta(hours=1)
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOOK_SECONDS", 0.0)


def test_a_token_is_known_by_its_hash(tmp_path: Path) -> None:
    token, other = new_token(), new_token()
    line = entry_line("alice", Role.ADMIN, token)
    assert token not in line
    file = tmp_path / "tokens"
    file.write_text(f"# who may what\n\n{line}  # of alice\n")
    tokens = TokenFile(file)
    assert tokens.identify(token) == Caller("TOKEN:alice", frozenset((Role.ADMIN,)), "token")
    assert tokens.identify("eyJhbGciOi.x.y") is None, "of another kind"
    for wrong in (other, token[:-1], token + "a", token.lower()):
        with pytest.raises(Unauthenticated):
            tokens.identify(wrong)


def test_the_hash_itself_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(line := entry_line("alice", Role.ADMIN, new_token()))
    tokens = TokenFile(tmp_path / "tokens")
    assert tokens.identify(line.split()[2]) is tokens.identify(line.split(":")[1]) is None
    with pytest.raises(Unauthenticated):
        tokens.identify("hgr_" + line.split(":")[1][:43])


def test_a_token_ends_when_its_line_says_so(tmp_path: Path) -> None:
    old, new = new_token(), new_token()
    lines = [entry_line("a", Role.VIEWER, old, NOW - HOUR), entry_line("a", Role.VIEWER, new, NOW + HOUR)]
    (tmp_path / "tokens").write_text("\n".join(lines))
    tokens = TokenFile(tmp_path / "tokens")
    assert tokens.identify(new) is not None
    with pytest.raises(Unauthenticated, match="token of a is not valid any more"):
        tokens.identify(old)


def test_a_line_that_is_taken_out_is_refused_from_then_on(tmp_path: Path) -> None:
    token, file = new_token(), tmp_path / "tokens"
    file.write_text(entry_line("a", Role.VIEWER, token))
    tokens = TokenFile(file)
    assert tokens.identify(token) is not None
    file.write_text("")
    with pytest.raises(Unauthenticated):
        tokens.identify(token)


def test_a_file_that_cannot_be_read_any_more_lets_nobody_in_until_it_can(tmp_path: Path) -> None:
    token, file = new_token(), tmp_path / "tokens"
    good = entry_line("a", Role.VIEWER, token)
    file.write_text(good)
    tokens = TokenFile(file)
    for bad in ("nonsense", good + "\nx", None):
        file.unlink() if bad is None else file.write_text(bad)
        with pytest.raises(Unauthenticated, match="cannot read tokens"):
            tokens.identify(token)
    file.write_text(good)
    assert tokens.identify(token) is not None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alice", "1 words"),
        ("alice root sha256:" + "0" * 64, "second word"),
        ("alice node sha256:" + "0" * 64, "second word"),
        ("alice admin md5:" + "0" * 32, "third word"),
        ("alice admin sha256:" + "0" * 63, "third word"),
        ("alice admin sha256:" + "A" * 64, "third word"),
        ("al/ice admin sha256:" + "0" * 64, "first word"),
        ("alice admin sha256:" + "0" * 64 + " tomorrow", "fourth word"),
        ("alice admin sha256:" + "0" * 64 + " 2027-01-01T00:00:00", "time zone"),
        ("alice admin hgr_" + "s3cret" * 7 + "x", "third word"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(line: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read_tokens("# first\n" + line, "token file t")
    assert "token file t, line 2" in str(caught.value)
    assert line.split()[-1] not in str(caught.value) or line.split()[-1] in ("alice", "tomorrow")


ISSUER, AUDIENCE = "https://issuer.example.com", "hedgerow"
RULES = RoleRules.read({Role.OPERATOR: ["SUB:bob"], Role.ADMIN: ["CN:bob"]})
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
    kind: Any = next((made for base, made in algorithm.items() if isinstance(key, base)), jwt.algorithms.OKPAlgorithm)
    return {**json.loads(kind.to_jwk(key.public_key())), "kid": kid, **more}


@pytest.fixture
def signed(tmp_path: Path) -> SignedTokens:
    file = tmp_path / "keys.json"
    keys = [jwk(RSA, "r", use="sig"), jwk(EC, "e", alg="ES256"), jwk(ED, "d")]
    file.write_text(json.dumps({"keys": keys}))
    return SignedTokens(file, ISSUER, AUDIENCE, RULES)


def make(key: Any = EC, kid: str | None = "e", alg: str = "ES256", **claims: Any) -> str:
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "exp": time.time() + 60, **claims}
    headers = {"kid": kid} if kid else {}
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, key, alg, headers=headers)


@pytest.mark.parametrize(("key", "kid", "alg"), [(RSA, "r", "RS256"), (EC, "e", "ES256"), (ED, "d", "EdDSA")])
def test_a_signed_token_names_its_subject(signed: SignedTokens, key: Any, kid: str, alg: str) -> None:
    found = signed.identify(make(key, kid, alg))
    assert found == Caller("SUB:bob", frozenset((Role.OPERATOR,)), "jwt"), "CN:bob is somebody else"


def test_a_subject_without_a_role_has_none(signed: SignedTokens) -> None:
    assert signed.identify(make(sub="eve", role="admin", roles=["admin"])).roles == frozenset()


def unsigned() -> str:
    parts = [{"alg": "none", "kid": "e"}, {"iss": ISSUER, "aud": AUDIENCE, "sub": "bob", "exp": time.time() + 60}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def symmetric() -> str:
    """HS256 with the public key as its secret, which every holder of the key set knows."""
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    body = unsigned().split(".")[1]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"r"}').decode().rstrip("=")
    import hashlib
    import hmac

    mac = hmac.digest(RSA.public_key().public_bytes(*form), f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda: make(OTHER), "InvalidSignature"),
        (lambda: make(RSA, "r", "PS256"), "InvalidAlgorithm"),
        (lambda: make(RSA, "e", "RS256"), "InvalidAlgorithm"),
        (unsigned, "InvalidAlgorithm"),
        (symmetric, "InvalidAlgorithm"),
        (lambda: make(kid="x"), "kid"),
        (lambda: make(kid=None), "kid"),
        (lambda: make(aud="other"), "InvalidAudience"),
        (lambda: make(aud=None), "aud"),
        (lambda: make(iss="https://evil.example.com"), "InvalidIssuer"),
        (lambda: make(iss=None), "iss"),
        (lambda: make(exp=time.time() - 60), "ExpiredSignature"),
        (lambda: make(exp=None), "exp"),
        (lambda: make(nbf=time.time() + 600), "ImmatureSignature"),
        (lambda: make(sub=None), "sub"),
        (lambda: make(sub=7), "InvalidSubject"),
        (lambda: "nonsense", "Decode"),
        (lambda: "a.b.c", "Decode"),
        (lambda: make(padding="x" * 9000), "8192"),
    ],
)
def test_a_token_that_is_not_whole_and_right_is_refused(signed: SignedTokens, token: Any, why: str) -> None:
    text = token()
    with pytest.raises(Unauthenticated, match=why) as caught:
        signed.identify(text)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"keys": []}',
        '{"keys": [1]}',
        json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(bytes(32)).decode(), "kid": "s"}]}),
        json.dumps({"keys": [jwk(EC, "e", use="enc")]}),
        json.dumps({"keys": [jwk(EC, "e"), jwk(OTHER, "e")]}),
        json.dumps({"keys": [{k: v for k, v in jwk(EC, "e").items() if k != "kid"}]}),
        json.dumps({"keys": [jwk(RSA, "r", alg="HS256")]}),
    ],
)
def test_a_key_set_that_is_not_for_signatures_is_refused(content: str) -> None:
    with pytest.raises(BadInput, match="key set k"):
        read_keys(content.encode(), "key set k")
