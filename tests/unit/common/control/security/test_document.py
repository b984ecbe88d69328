"""docs/security.md says what the table of methods says, and the limits and settings that there are."""

from __future__ import annotations

import re
from pathlib import Path

from hedgerow.common.config import NodeConfig
from hedgerow.common.control.security import limits
from hedgerow.common.control.security.methods import METHODS, Role

ROOT = Path(__file__).parents[5]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()


def row(method: str) -> str:
    """As the document has it."""
    service, _, name = method.removeprefix("/").partition("/")
    cells = ["yes" if role in METHODS[method].roles else "" for role in Role]
    return f"| `{service.rpartition('.')[2]}.{name}` | {' | '.join(cells)} |"


def test_the_documents_table_of_roles_is_the_table() -> None:
    found = re.findall(r"^\| `(?:Admin|MaintainerHost|Dispatch|ServerReflection)\..*$", DOCUMENT, re.MULTILINE)
    wanted = [row(method) for method, rule in METHODS.items() if rule.roles]
    assert found == wanted, "\n" + "\n".join(wanted)


def test_the_document_has_the_limits() -> None:
    users = limits.UserLimits()
    for text in (
        f"connections to `token_listen`; a handshake | {limits.USER_CONNECTIONS}; 10 s",
        f"{users.calls_per_user} each (`user_calls`), {users.calls} in all",
        f"{users.streams_per_user} each (`user_streams`), {users.streams} in all",
        f"{limits.USER_MESSAGE_BYTES // 2**20} MiB | {limits.PEER_MESSAGE_BYTES // 2**20} MiB",
        f"filters, tables of one request | {limits.LIST_LENGTH}",
        f"a URI, a filter | {limits.TEXT_LENGTH} characters",
        f"{limits.LONG_TEXT_LENGTH // 1024} KiB",
    ):
        assert text in DOCUMENT
    assert (NodeConfig.load(None, {}).user_calls, NodeConfig.load(None, {}).user_streams) == (64, 16)


def test_every_setting_that_the_document_names_exists() -> None:
    settings = set(re.findall(r"`((?:tls|token|jwt|role|audit|user|allowed|etcd)_[a-z_]+)`", DOCUMENT)) - {"role_"}
    assert len(settings) > 15
    assert settings <= set(NodeConfig.model_fields), settings - set(NodeConfig.model_fields)
