"""What the source's DDL statements mean for a changefeed: the bridge from the binlog to classification."""

from __future__ import annotations

import re
from typing import Final

import pymysql

from hedgerow.common.mysql.connect import Flavour, connect, unavailable
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl import Action, Classified, DdlKind, apply_filter, classify
from hedgerow.dispatcher.ddl.lexer import ISO_8859
from hedgerow.dispatcher.ddl.model import DROPPED_IN_PART, at_byte
from hedgerow.dispatcher.source.charsets import UNKNOWN, decode
from hedgerow.dispatcher.source.statements import Statement
from hedgerow.dispatcher.spec import Spec

# After comments; what comes after it, classification has read.
_DROP: Final = re.compile(r"(?:\s|/\*.*?\*/|(?:#|--\s)[^\n]*\n)*DROP\s", re.IGNORECASE | re.DOTALL)
_SHOWN: Final = 200  # characters of a statement in an error
_VERSIONED: Final = (
    ". If no session has, the table is versioned by transactions (ROW START of type BIGINT UNSIGNED): MariaDB logs "
    "changes of such tables as statements in every format. Version it by time in the source (its history is lost): SET "
    "system_versioning_alter_history = KEEP; ALTER TABLE ... DROP SYSTEM VERSIONING, DROP COLUMN (its ROW START), DROP "
    "COLUMN (its ROW END); ALTER TABLE ... ADD SYSTEM VERSIONING"
)


class Classifier:
    """One per connection to the source. Asks it, at the first DDL, whether names are lower-case there."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._lower_names: bool | None = None

    def __call__(self, statement: Statement) -> pb.Ddl | None:
        """The DDL without its position, None for a statement without effect on what is replicated. One that lies across
        the filter, or is not understood, has a `refusal`. Raises SourceUnavailable."""
        if self._lower_names is None:
            self._lower_names = self._ask_lower_names()
        flavour = self._spec.flavour
        charset = str(statement.session["character_set_client"])
        classified = classify(
            statement.text,
            statement.default_schema,
            flavour,
            sql_mode=int(statement.session.get("sql_mode", 0)),
            lower_names=self._lower_names,
            nbsp=charset in ISO_8859,
        )
        if classified.kind is DdlKind.DML and self._is_outside(statement.schemas):
            return None
        decision = apply_filter(classified, self._spec.filter)
        if decision.action is Action.SKIP:
            return None
        refusal = decision.reason if decision.action is Action.REFUSE else _impossible(statement, classified, flavour)
        ddl = pb.Ddl(
            statement=classified.statement,
            default_schema=statement.default_schema,
            scope=classified.scope,
            touches=[name.write() for name in classified.touches],
            creates=[name.write() for name in classified.creates],
            drops=[name.write() for name in classified.drops],
            fills=[fill.write() for fill in classified.fills],
            skipped=statement.skipped,
        )
        if statement.skipped:
            return self._left_out(ddl, rows_follow=statement.rows_follow)
        if refusal:
            of_rows = _VERSIONED if classified.kind is DdlKind.DML and flavour == "mariadb" else ""
            ddl.refusal = (
                f"the statement that ends at {statement.file}:{statement.offset} cannot be replicated: {refusal}"
                f"{of_rows}. Execute in the sink what of it belongs there. Statement: {statement.text[:_SHOWN]}"
            )
            return ddl
        ddl.edits.extend(
            pb.Edit(
                at=at_byte(statement.raw, statement.text, edit.at, lambda raw: decode(raw, charset)),
                until=at_byte(statement.raw, statement.text, edit.until, lambda raw: decode(raw, charset)),
                text=edit.text.encode(),
            )
            for edit in classified.edits
        )
        return ddl

    def _is_outside(self, schemas: tuple[str, ...] | None) -> bool:
        """Whether it is known that a statement changes nothing that is replicated, by triggers or functions."""
        return schemas is not None and not any(map(self._spec.filter.matches_schema, schemas))

    def _left_out(self, ddl: pb.Ddl, *, rows_follow: bool) -> pb.Ddl | None:
        """What a statement that a user has left out, and executed in the sink as far as it belongs there, means for the
        list of dispatchers. Of one that is not understood the sink tells, when everything before it is applied."""
        if ddl.scope == pb.EVERYTHING or any(
            UNKNOWN in name.schema + name.table for name in (*ddl.touches, *ddl.drops)
        ):
            if rows_follow:  # a change of rows that is logged as a statement
                return None
            return pb.Ddl(scope=pb.EVERYTHING, statement=ddl.statement, skipped=True)
        made = [name for name in ddl.creates if self._spec.filter.matches(name.schema, name.table)]
        del ddl.creates[:]
        ddl.creates.extend(name for name in made if "." not in name.schema + name.table)
        return ddl

    def _ask_lower_names(self) -> bool:
        try:
            with connect(self._spec.source, "source", read_timeout=5.0) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@lower_case_table_names")
                row = cursor.fetchone()
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._spec.source, "source", error) from error
        return row is not None and int(row[0]) == 1


def _impossible(statement: Statement, classified: Classified, flavour: Flavour) -> str:
    """Why the sink cannot be told to do what the source has done; empty where it can."""
    names = (*classified.touches, *classified.creates, *classified.drops, *classified.changes)
    if any(UNKNOWN in name.key for name in names):
        return "it has a name with a character that Unicode has not, so which table it is cannot be told"
    in_part = flavour == "mariadb" and statement.error_code in DROPPED_IN_PART and _DROP.match(statement.text)
    if statement.error_code and not in_part:
        return f"it failed on the source with error {statement.error_code} after a part of it was done"
    return ""
