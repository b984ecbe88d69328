"""What an account may do, from SHOW GRANTS.

Used for privileges that cannot be tried without leaving a trace (creating schemas and tables). Roles count when they
are active in the session that asked. Source: MySQL manual "SHOW GRANTS Statement", MariaDB knowledge base "GRANT".
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hedgerow.common.mysql.filter import ANY, ONE, TableFilter

EVERYWHERE: Final = "*"

_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?:(?:TABLE|SCHEMA) )?(?P<level>\S.*?) TO ", re.DOTALL)
_REVOKE = re.compile(r"REVOKE (?P<what>.+?) ON (?P<level>\S.*?) FROM ", re.DOTALL)
_SCHEMA = re.compile(r"(?:`((?:[^`]|``)+)`|(\*))\.\*")
_COLUMNS = re.compile(r"\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Grants:
    """Privileges by level: everywhere, by schema pattern (LIKE), and what MySQL's partial revokes take away."""

    everywhere: frozenset[str]
    on_schemas: tuple[tuple[str, frozenset[str]], ...] = ()
    revoked: tuple[tuple[str, frozenset[str]], ...] = ()

    def missing(self, wanted: Iterable[str], schema: str = "") -> list[str]:
        """Those privileges that the account lacks, everywhere or on this schema; in the order given."""
        held = set(self.everywhere)
        if schema:
            for name, privileges in self.revoked:
                if name == schema:
                    held = (held | _STATIC if "ALL PRIVILEGES" in held else held) - privileges - {"ALL PRIVILEGES"}
            for pattern, privileges in self.on_schemas:
                if _like(pattern, schema):
                    held |= privileges
        return [] if "ALL PRIVILEGES" in held else [privilege for privilege in wanted if privilege not in held]

    def unseen(self, table_filter: TableFilter) -> list[str]:
        """The schemas of which the filter may match tables that the account, without SELECT on all of the schema, does
        not see; [EVERYWHERE] where that may be any."""
        everywhere = not self.missing(("SELECT",))
        if everywhere:
            revoked = sorted({name for name, _ in self.revoked if table_filter.matches_schema(name)})
            return [name for name in revoked if self.missing(("SELECT",), name)]
        included = [rule for rule in table_filter.rules if not rule.exclude]
        if not included or any({ANY, ONE} & set(rule.schema.symbols) for rule in included):
            return [EVERYWHERE]
        schemas = sorted({"".join(rule.schema.symbols) for rule in included})
        return [schema for schema in schemas if self.missing(("SELECT",), schema)]


def parse_grants(lines: Iterable[str]) -> Grants:
    """Read the lines of SHOW GRANTS. Grants on single tables, columns, routines and of roles by name are left out."""
    everywhere: set[str] = set()
    on_schemas: list[tuple[str, frozenset[str]]] = []
    revoked: list[tuple[str, frozenset[str]]] = []
    for line in lines:
        found = _GRANT.match(line) or _REVOKE.match(line)
        level = _SCHEMA.fullmatch(found["level"]) if found else None
        if not found or not level:
            continue
        privileges = _privileges(found["what"])
        if line.startswith("REVOKE"):
            revoked.append((_unquoted(level[1] or ""), privileges))
        elif level[2]:
            everywhere |= privileges
        else:
            on_schemas.append((_unquoted(level[1]), privileges))
    return Grants(frozenset(everywhere), tuple(on_schemas), tuple(revoked))


# What ALL PRIVILEGES stands for on a schema.
_STATIC = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "TRIGGER", "LOCK TABLES"}
    | {"CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT", "CREATE TEMPORARY TABLES"}
)


def _privileges(text: str) -> frozenset[str]:
    names = (name.strip().upper() for name in _COLUMNS.sub("(columns)", text).split(","))
    return frozenset("ALL PRIVILEGES" if name == "ALL" else name for name in names if "(COLUMNS)" not in name)


def _unquoted(name: str) -> str:
    return name.replace("``", "`")


def _like(pattern: str, schema: str) -> bool:
    """A schema in a grant is a LIKE pattern: % and _ are wildcards unless a backslash stands before them."""
    pieces = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return bool(re.fullmatch("".join(wild.get(p) or re.escape(p[-1]) for p in pieces), schema, re.DOTALL))
