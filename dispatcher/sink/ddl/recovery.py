"""What is written down before a DDL statement is begun, and what that tells whoever finds it begun."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pymysql.cursors import Cursor

from hedgerow.common.mysql.connect import Flavour
from hedgerow.common.mysql.names import TableName
from hedgerow.common.mysql.uri import ServerUri
from hedgerow.dispatcher.sink.ddl import logged
from hedgerow.dispatcher.sink.ddl.evidence import Evidence, StartedStatement, changed, judge, judge_at_once
from hedgerow.dispatcher.sink.ddl.fingerprint import Fingerprint, fingerprint, list_programs
from hedgerow.dispatcher.sink.ddl.logged import JournalMark, Logged, LogPlace
from hedgerow.dispatcher.sink.kill_switch import KillSwitch

_FORMER = LogPlace(why="the statement was begun by an earlier version of Hedgerow, which noted no place in it")


@dataclass(frozen=True, slots=True)
class BeforeImage:
    """Of one attempt."""

    before: Fingerprint
    mark: JournalMark

    @classmethod
    def parse(cls, text: str) -> BeforeImage:
        found = json.loads(text)
        if "mark" not in found:
            return cls(Fingerprint.parse(text), JournalMark("0000", _FORMER))
        return cls(Fingerprint.parse(found["before"]), JournalMark.parse(found["mark"]))

    def __str__(self) -> str:
        return json.dumps({"before": str(self.before), "mark": str(self.mark)})


@dataclass(frozen=True, slots=True)
class Finding:
    """`seen`: what of it cannot be explained, for a message."""

    verdict: Evidence
    seen: str


class Recovery:
    """Of one statement, which concerns the tables `affected`."""

    def __init__(
        self, uri: ServerUri, flavour: Flavour, statement: StartedStatement, affected: Collection[TableName]
    ) -> None:
        self._uri, self._flavour, self._statement, self._affected = uri, flavour, statement, affected

    def record(self, cursor: Cursor) -> BeforeImage:
        """For an attempt that begins now. The caller writes it down, in the transaction of `cursor`, before it executes
        the statement."""
        return BeforeImage(self._look(cursor), JournalMark.make(logged.end_of_binlog(cursor, self._flavour)))

    def judge(
        self,
        cursor: Cursor,
        record: BeforeImage,
        schema: str,
        raw: bytes,
        cut: KillSwitch,
        keep_alive: Callable[[], None],
    ) -> Finding:
        """Whether the attempt of `record` executed the statement, whose bytes are `raw`, with this default schema.
        Nobody does so meanwhile: the caller has the lock.

        Raises SinkUnavailable, pymysql.MySQLError.
        """
        if (verdict := judge_at_once(self._statement, record.before, self._look(cursor))) is not None:
            return Finding(verdict, "")
        end = logged.end_of_binlog(cursor, self._flavour)
        found, why = logged.find(self._uri, self._flavour, record.mark, end, schema, raw, cut, keep_alive)
        now = self._look(cursor)
        is_program = found is Logged.UNKNOWN and self._statement.is_program
        bodies = {each.key: each.definition for each in list_programs(cursor)} if is_program else {}
        verdict = judge(self._statement, record.before, now, found, bodies)
        different = changed(record.before, now)
        seen = f"{', '.join(different)} changed meanwhile" if different else "nothing that it names looks different"
        return Finding(verdict, f"{seen}, and {found.value}{f' ({why})' if why else ''}")

    def _look(self, cursor: Cursor) -> Fingerprint:
        statement = self._statement
        return fingerprint(
            cursor, self._flavour, self._affected, programs=statement.is_program, ids=statement.needs_ids
        )
