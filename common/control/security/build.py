"""The doors of a node, built of its configuration when it starts."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from hedgerow.common.control.security.audit import Audit
from hedgerow.common.control.security.authenticator import Authenticator, Plain, Verified
from hedgerow.common.control.security.caller import RoleRules
from hedgerow.common.control.security.guard import Guard
from hedgerow.common.control.security.jwtkeys import SignedTokens
from hedgerow.common.control.security.limits import Limits, UserLimits
from hedgerow.common.control.security.methods import Role
from hedgerow.common.control.security.settings import Settings
from hedgerow.common.control.security.settings import rules as read_rules
from hedgerow.common.control.security.tls import TlsFiles, TlsSource, check_own_certificate, check_own_host
from hedgerow.common.control.security.tokens import TokenFile
from hedgerow.common.errors import BadInput

log = structlog.get_logger()


@dataclass(frozen=True)
class Security:
    """Owned by a node for its whole life; its lives share it. `peers` guards the port of nodes and certificates,
    `tokens` that of tokens."""

    tls: TlsSource | None
    peers: Guard
    tokens: Guard | None
    audit: Audit

    @classmethod
    def build(cls, settings: Settings) -> Security:
        """Raises BadInput for files that cannot be used."""
        counts = Limits(UserLimits(settings.user_calls, settings.user_streams))
        tls = _tls(settings)
        if tls is None:
            audit = Audit(settings.audit_log)
            _warn(settings)
            return cls(None, Guard(Plain(), audit, counts), None, audit)
        rules = read_rules(settings)
        _check_is_node(tls, rules)
        verified: Authenticator = Verified(rules)
        tokens: Authenticator | None = None
        if settings.token_listen is not None:
            tokens = Verified(rules, *_token_kinds(settings, rules))
        audit = Audit(settings.audit_log)
        return cls(tls, Guard(verified, audit, counts), Guard(tokens, audit, counts) if tokens else None, audit)


def _tls(settings: Settings) -> TlsSource | None:
    if settings.tls_ca is None:
        return None
    source = TlsSource(TlsFiles(settings.tls_ca, settings.tls_cert, settings.tls_key))
    check_own_certificate(source.material(), settings.tls_cert)
    check_own_host(source.material(), settings.tls_cert, settings.called)
    return source


def _check_is_node(tls: TlsSource, rules: RoleRules) -> None:
    certificate = tls.material().certificate
    if Role.NODE not in rules.roles(certificate.names, certificate.shown):
        raise BadInput(
            f"tls_cert names {', '.join(certificate.names) or 'nobody'} and role_node "
            f"{', '.join(rules.names[Role.NODE])}: "
            "the other nodes would refuse this one; let role_node name its certificate"
        )


def _token_kinds(settings: Settings, rules: RoleRules) -> tuple[TokenFile | None, SignedTokens | None]:
    tokens = TokenFile(settings.token_hashes) if settings.token_hashes else None
    signed = None
    if settings.jwt_keys is not None and settings.jwt_issuer is not None and settings.jwt_audience is not None:
        signed = SignedTokens(settings.jwt_keys, settings.jwt_issuer, settings.jwt_audience, rules)
    return tokens, signed


def _warn(settings: Settings) -> None:
    if settings.insecure:
        log.warning(
            "insecure",
            listen=settings.listen,
            effect="no TLS, no roles: whoever reaches this address can read and redirect every database",
        )
