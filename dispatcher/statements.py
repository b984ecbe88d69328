"""What the source's DDL statements mean for a changefeed: the bridge from the binlog to classification."""

from __future__ import annotations

import re
from typing import Final

import pymysql

from common.errors import UnsupportedEvent
from common.mysql import connect, unavailable
from common.pb.v1 import model_pb2 as pb
from dispatcher.ddl import Action, Classified, apply_filter, classify
from dispatcher.ddl.lexer import ISO_8859
from dispatcher.ddl.model import at_byte
from dispatcher.sink.ddl_session import DROPPED_IN_PART
from dispatcher.source.charsets import UNKNOWN, decode
from dispatcher.source.statements import Statement
from dispatcher.spec import Spec

# Behind comments; what comes behind it, classification has read.
_DROP: Final = re.compile(r"(?:\s|/\*.*?\*/|(?:#|--\s)[^\n]*\n)*DROP\s", re.IGNORECASE | re.DOTALL)


class Classifier:
    """One per connection to the source. Asks it, at the first DDL, whether names are lower-case there."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._lower_names: bool | None = None

    def __call__(self, statement: Statement) -> pb.Ddl | None:
        """The DDL without its position, None for a statement without effect on what is replicated.

        Raises UnsupportedEvent for one that lies across the filter or cannot be told; SourceUnavailable.
        """
        if self._lower_names is None:
            self._lower_names = self._ask_lower_names()
        charset = str(statement.session["character_set_client"])
        classified = classify(
            statement.text,
            statement.default_schema,
            self._spec.flavour,
            sql_mode=int(statement.session.get("sql_mode", 0)),
            lower_names=self._lower_names,
            nbsp=charset in ISO_8859,
        )
        decision = apply_filter(classified, self._spec.filter)
        if decision.action is Action.SKIP:
            return None
        if decision.action is Action.REFUSE:
            raise UnsupportedEvent(
                f"the statement that ends at {statement.file}:{statement.offset} cannot be replicated: "
                f"{decision.reason}. Statement: {statement.text[:200]}"
            )
        self._check(statement, classified)

        def place(at: int) -> int:
            return at_byte(statement.raw, statement.text, at, lambda raw: decode(raw, charset))

        return pb.Ddl(
            statement=classified.statement,
            default_schema=statement.default_schema,
            scope=classified.scope,
            touches=[name.write() for name in classified.touches],
            creates=[name.write() for name in classified.creates],
            drops=[name.write() for name in classified.drops],
            fills=[fill.write() for fill in classified.fills],
            edits=[
                pb.Edit(at=place(edit.at), until=place(edit.until), text=edit.text.encode())
                for edit in classified.edits
            ],
        )

    def _check(self, statement: Statement, classified: Classified) -> None:
        """Whether the sink can be told to do what the source has done."""
        reason = ""
        names = (*classified.touches, *classified.creates, *classified.drops, *classified.changes)
        if any(UNKNOWN in name.key for name in names):
            reason = "it has a name with a character that Unicode has not, so which table it is cannot be told"
        elif statement.error_code and not (
            self._spec.flavour == "mariadb" and statement.error_code in DROPPED_IN_PART and _DROP.match(statement.text)
        ):
            reason = f"it failed on the source with error {statement.error_code} after a part of it was done"
        if reason:
            raise UnsupportedEvent(
                f"the statement that ends at {statement.file}:{statement.offset} cannot be replicated: {reason}. "
                "Execute in the sink what the source has of it, then resume the changefeed behind this statement. "
                f"Statement: {statement.text[:200]}"
            )

    def _ask_lower_names(self) -> bool:
        try:
            with connect(self._spec.source, "source", read_timeout=5.0) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@lower_case_table_names")
                row = cursor.fetchone()
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._spec.source, "source", error) from error
        return row is not None and int(row[0]) == 1
