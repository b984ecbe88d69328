"""The net under the list of dispatchers: rows that match the filter and that no dispatcher on any node replicates.

The schema dispatcher's stream sees every table map of the source. Its position and the progress rows agree, because the
DDL that changes the list of dispatchers moves them in one transaction: at that position, a table that has no progress
row is replicated by nobody. Its rows stop the changefeed, with a progress row that makes the table begin exactly before
them: whatever kept it from the list, nothing of it was passed over, and a resume goes on with it.

Used by the stream's thread. Asked once per table map that is not known yet; the sink is asked once per table that comes
to the list after the stream began.
"""

from __future__ import annotations

import pymysql
import structlog

from hedgerow.common.binlog.position import Position
from hedgerow.common.ddlscope import created, dropped, exactly_touched, touched
from hedgerow.common.errors import HedgerowError, SinkUnavailable, TableUnreplicated
from hedgerow.common.ledger.schema import SCHEMA_DISPATCHER
from hedgerow.common.mysql.catalog import table_exists
from hedgerow.common.mysql.connect import connect
from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher import metrics
from hedgerow.dispatcher.sink.api import Sink
from hedgerow.dispatcher.sink.token import CurrentToken
from hedgerow.dispatcher.spec import Spec

log = structlog.get_logger()

_SOURCE_SECONDS = 5.0


class Net:
    """For one stream that serves the schema dispatcher."""

    def __init__(self, spec: Spec, token: CurrentToken, sink: Sink) -> None:
        """The schema dispatcher is claimed already: from now on nobody else ends a DDL. Raises SinkUnavailable,
        SinkRefused."""
        self._spec = spec
        self._token = token
        self._sink = sink
        self._replicated = self._list()

    def suspects(self, table: TableName) -> bool:
        """Whether rows of this table would have to be caught, as far as is known without asking."""
        return table.key not in self._replicated and self._spec.filter.matches(*table)

    def catch(self, table: TableName, before: Position, gtid: str) -> None:
        """Rows of a table that nobody seems to replicate, in the transaction `gtid` that begins at `before`.

        Returns where a dispatcher has come meanwhile. Raises TableUnreplicated, Fenced, SinkRefused; SinkUnavailable
        also while the owner takes the changefeed over, which changes the list where the filter is another.
        """
        epoch = self._token().epoch
        ledger = self._sink.ledger
        if ledger.fence() < epoch:
            raise SinkUnavailable(
                f"the owner at epoch {epoch} has not finished taking over, so whether {table.key} has a dispatcher "
                "is not known yet; tried again"
            )
        self._replicated = self._list()
        if table.key in self._replicated:
            return
        in_sink = self._sink.has_table(table)
        ledger.enlist(table.key, epoch, before)
        error = TableUnreplicated(
            f"table {table.key} matches the filter of changefeed {self._spec.name}, and no dispatcher on any node "
            f"replicates it: its rows in the transaction {_place(gtid, before)} would have been lost. Nothing of it "
            f"was passed over (unless its row of hedgerow.progress was deleted: then compare the table first). "
            f"{self._why(table, in_sink)} Or leave the table out: hedgerow changefeed update "
            f"{self._spec.name} with one more --filter '!{table.key}', then resume"
        )
        metrics.UNREPLICATED.labels(self._spec.name).inc()
        log.error("table-unreplicated", changefeed=self._spec.name, uid=self._spec.uid, table=table.key)
        raise error

    def forget(self, ddl: pb.Ddl) -> None:
        """A DDL has been decided over, which has changed the list as it says; or nobody knows how."""
        if exactly_touched(ddl) is None:
            self._replicated -= touched(ddl, self._replicated)
        self._replicated = (self._replicated - dropped(ddl, self._replicated)) | created(ddl)

    def _list(self) -> set[str]:
        return self._sink.ledger.incarnations().keys() - {SCHEMA_DISPATCHER}

    def _why(self, table: TableName, in_sink: bool) -> str:
        if not in_sink:
            return (
                f"The sink has no such table. Create it there, with the rows that it had in the source before this "
                f"transaction; then hedgerow changefeed resume {self._spec.name} replicates it from there on."
            )
        then = (
            f"Make sure that the sink's copy is what the source's table was before this transaction; then hedgerow "
            f"changefeed resume {self._spec.name} replicates it from there on."
        )
        if not self._is_seen(table):
            account = self._spec.source.user
            return f"{account}, Hedgerow's account in the source, does not see it: GRANT SELECT ON *.* TO it. {then}"
        return then

    def _is_seen(self, table: TableName) -> bool:
        """By the source's account; also where it cannot be asked now, or the table is not there any more."""
        try:
            with connect(self._spec.source, "source", read_timeout=_SOURCE_SECONDS) as connection:
                return table_exists(connection, table)
        except (HedgerowError, pymysql.MySQLError, OSError):
            return True


def _place(gtid: str, before: Position) -> str:
    place = f"after {before.file}:{before.offset}" if before.file else ""
    return " ".join(filter(None, (gtid, place)))
