"""Refusals that come from how a table is stored in the sink, which the source's statements do not decide. Pure.

OPTIMIZE and the like are not replicated, settings differ, and a table may have been loaded or rebuilt at another time:
so its instant columns, row versions and hidden columns are others than the source's. How an ALTER is executed does not
change what it makes, so where the method that the statement asks for is refused, the server may choose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.dispatcher.ddl.lexer import UnreadableStatement, tokens

# Not supported, not supported for a reason; MySQL: too many row versions, and a row that would become too large for it.
_METHOD_REFUSED: Final[dict[Flavour, frozenset[int]]] = {
    "mariadb": frozenset({1845, 1846}),
    "mysql": frozenset({1845, 1846, 4092, 4158}),
}
_METHODS: Final = {
    "ALGORITHM": ("INSTANT", "INPLACE", "NOCOPY", "COPY"),
    "LOCK": ("NONE", "SHARED", "EXCLUSIVE"),
}
_VERBS: Final = ("ALTER", "CREATE", "DROP")
_STORED_OTHERWISE: Final = 1731  # EXCHANGE PARTITION; it names what does not match
_INSTANT: Final = "INSTANT COLUMN"


def by_any_method(code: int, statement: str, flavour: Flavour, sql_mode: int) -> str | None:
    """The statement, for another attempt after error `code`, with the choice of the method left to the server; None
    where that is not what was refused."""
    if code not in _METHOD_REFUSED[flavour]:
        return None
    try:
        found = list(tokens(statement, flavour, sql_mode))
    except UnreadableStatement:
        return None
    if not found or found[0].value not in _VERBS or found[0].kind != "word":
        return None
    result, end = "", 0
    for at, token in enumerate(found):
        methods = _METHODS.get(token.value, ()) if token.kind == "word" else ()
        value_at = at + 2 if found[at + 1 : at + 2] and found[at + 1].value == "=" else at + 1
        value = found[value_at] if methods and value_at < len(found) else None
        if value is not None and value.kind == "word" and value.value in methods:
            result += statement[end : value.start] + "DEFAULT"
            end = value.start + len(value.text)
    return result + statement[end:] if end else None


def rebuild(code: int, text: str, tables: Iterable[TableName]) -> str:
    """The statements that remove from these tables what error `code` with this text is about; empty where none do."""
    if code != _STORED_OTHERWISE or _INSTANT not in text:
        return ""
    return " ".join(f"ALTER TABLE {name.quoted} FORCE;" for name in sorted(tables) if name.table)
