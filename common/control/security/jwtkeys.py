"""Signed tokens (JWT) of another issuer, verified with a key set that is a local file: nodes ask no network for keys.

What is demanded of every token (RFC 8725): an asymmetric algorithm, which is the one of the key and not the one that
the token asks for; the `kid` of a key of the set; the issuer and the audience of the configuration; `sub` and `exp`.
Who a subject is, the configuration says (`SUB:...` in role_...), not the token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt

from hedgerow.common.control.security.caller import Caller, RoleRules
from hedgerow.common.control.security.files import ReloadedFile
from hedgerow.common.errors import BadInput, Unauthenticated

ALGORITHMS: Final = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
LEEWAY_SECONDS: Final = 30
_MAX_TOKEN: Final = 8 * 1024


def read_keys(content: bytes, where: str) -> Mapping[str, jwt.PyJWK]:
    """The keys of a JSON Web Key Set by their ids. Raises BadInput; never shows a key."""
    try:
        entries = json.loads(content)["keys"]
        keys = [(str(entry["kid"]), entry.get("use", "sig"), jwt.PyJWK.from_dict(entry)) for entry in entries]
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise BadInput(
            f"{where} is not a JSON Web Key Set whose every key has a kid and is of a known kind: "
            f"{type(error).__name__}"
        ) from None
    for kid, use, key in keys:
        if key.key_type not in ("RSA", "EC", "OKP") or key.algorithm_name not in ALGORITHMS:
            raise BadInput(f"{where}: key {kid!r} is not for verifying signatures: {key.key_type} {key.algorithm_name}")
        if use != "sig":
            raise BadInput(f"{where}: key {kid!r} is meant for {use!r}, not for signatures")
    found = {kid: key for kid, _, key in keys}
    if not found or len(found) != len(keys):
        raise BadInput(f"{where} has no keys" if not found else f"{where} has two keys of one kid")
    return found


class SignedTokens:
    """Raises BadInput where the key set cannot be read at the start."""

    def __init__(self, keys: Path, issuer: str, audience: str, rules: RoleRules) -> None:
        self._file = ReloadedFile(keys, lambda content: read_keys(content, f"key set {keys}"))
        self._issuer = issuer
        self._audience = audience
        self._rules = rules

    def identify(self, token: str) -> Caller:
        """Raises Unauthenticated."""
        if len(token) > _MAX_TOKEN:
            raise Unauthenticated(f"the token has more than {_MAX_TOKEN} bytes")
        try:
            key = self._key(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the token is refused: {type(error).__name__}: {error}") from None
        name = f"SUB:{claims['sub']}"
        return Caller(name, self._rules.roles((name,), name), "jwt")

    def _key(self, token: str) -> jwt.PyJWK:
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._file.value().get(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthenticated("the token is refused: it is signed with none of the keys known here (kid)")
        return key
