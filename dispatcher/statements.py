"""What the source's DDL statements mean for a changefeed: the bridge from the binlog to classification."""

from __future__ import annotations

import pymysql

from common.errors import UnsupportedEvent
from common.mysql import connect, unavailable
from common.pb.v1 import model_pb2 as pb
from dispatcher.ddl import Action, apply_filter, classify
from dispatcher.source.statements import Statement
from dispatcher.spec import Spec


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
        classified = classify(
            statement.text,
            statement.default_schema,
            self._spec.flavour,
            sql_mode=int(statement.session.get("sql_mode", 0)),
            lower_names=self._lower_names,
        )
        decision = apply_filter(classified, self._spec.filter)
        if decision.action is Action.SKIP:
            return None
        if decision.action is Action.REFUSE:
            raise UnsupportedEvent(
                f"the statement that ends at {statement.file}:{statement.offset} cannot be replicated: "
                f"{decision.reason}. Statement: {statement.text[:200]}"
            )
        return pb.Ddl(
            statement=classified.statement,
            default_schema=statement.default_schema,
            scope=classified.scope,
            touches=[name.write() for name in classified.touches],
            creates=[name.write() for name in classified.creates],
            drops=[name.write() for name in classified.drops],
        )

    def _ask_lower_names(self) -> bool:
        try:
            with connect(self._spec.source, "source", read_timeout=5.0) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@lower_case_table_names")
                row = cursor.fetchone()
        except (pymysql.MySQLError, OSError) as error:
            raise unavailable(self._spec.source, "source", error) from error
        return row is not None and int(row[0]) == 1
