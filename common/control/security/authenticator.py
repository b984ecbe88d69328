"""Who a call is of: the certificate of its connection, the token that it carries, or the user whom a node names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from hedgerow.common.control.security.caller import (
    CALLER_METADATA,
    MAX_NAME,
    Caller,
    RoleRules,
    read_certificate,
    read_forwarded,
)
from hedgerow.common.control.security.jwtkeys import SignedTokens
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.tokens import TokenFile
from hedgerow.common.errors import Forbidden, Unauthenticated

AUTHORIZATION: Final = "authorization"
_CERTIFICATE: Final = "x509_pem_cert"


class Context(Protocol):
    """The part of gRPC's ServicerContext that tells who calls."""

    def peer(self) -> str: ...
    def auth_context(self) -> Mapping[str, Iterable[bytes]]: ...
    def invocation_metadata(self) -> Any: ...


class Authenticator(Protocol):
    def identify(self, context: Context) -> Caller:
        """Raises Unauthenticated or Forbidden."""
        ...


class Plain:
    """Without TLS nobody can be told from anybody, so everybody may do everything. A token would have travelled in
    clear: it is refused, so that nobody goes on sending it."""

    def identify(self, context: Context) -> Caller:
        if _metadata(context, AUTHORIZATION):
            raise Unauthenticated(
                "a token came over a connection without TLS, where anybody may have read it: replace the token, and "
                "give the node tls_ca, tls_cert and tls_key"
            )
        caller = Caller("anonymous", frozenset(Role), "plain", context.peer())
        said = _metadata(context, CALLER_METADATA)
        if not said:
            return caller
        user = read_forwarded(_bytes(said[0]), dataclasses.replace(caller, name="a node"))
        return dataclasses.replace(user, roles=frozenset(Role), via="plain")


class Verified:
    """Over TLS. `tokens` and `signed`: kinds of tokens that are accepted."""

    def __init__(self, rules: RoleRules, tokens: TokenFile | None = None, signed: SignedTokens | None = None) -> None:
        self._roles = functools.lru_cache(maxsize=4096)(rules.roles)
        self._tokens = tokens
        self._signed = signed

    def identify(self, context: Context) -> Caller:
        authorization = _metadata(context, AUTHORIZATION)
        said = _metadata(context, CALLER_METADATA)
        if authorization:
            known = self._by_token([_text(value) for value in authorization])
            caller = dataclasses.replace(known, address=context.peer())
        else:
            caller = self._by_certificate(context.auth_context(), context.peer())
        if len(caller.name) > MAX_NAME:
            raise Unauthenticated(f"the name {caller.name[:60]}… has more than {MAX_NAME} characters")
        if not said:
            return caller
        if not caller.is_node or len(said) > 1:
            raise Forbidden(f"{caller.name} is no node, and only nodes call on behalf of others")
        return read_forwarded(_bytes(said[0]), caller)

    def _by_token(self, values: Sequence[str]) -> Caller:
        kind, _, token = values[0].partition(" ")
        if len(values) > 1 or kind.lower() != "bearer" or not token:
            raise Unauthenticated("the authorization is not one 'Bearer TOKEN'")
        found = self._tokens.identify(token) if self._tokens else None
        if found is None and self._signed is not None:
            found = self._signed.identify(token)
        if found is None:
            raise Unauthenticated("this node accepts no such token: see token_hashes and jwt_keys in its configuration")
        return found

    def _by_certificate(self, properties: Mapping[str, Iterable[bytes]], address: str) -> Caller:
        pems = list(properties.get(_CERTIFICATE, ()))
        if len(pems) != 1:
            raise Unauthenticated(
                "neither a certificate nor a token came with the call: see --tls-cert and --token-file"
            )
        certificate = read_certificate(pems[0])
        certificate.check_time()
        return Caller(certificate.shown, self._roles(certificate.names, certificate.shown), "certificate", address)


def _metadata(context: Context, wanted: str) -> list[Any]:
    return [value for key, value in context.invocation_metadata() or () if key == wanted]


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
