"""Reads ALTER TABLE clause by clause. The cursor stands after the word TABLE. Pure.

Only what a clause begins with says what it is: most words of the grammar are legal names too (a column called import).
"""

from __future__ import annotations

from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl.fills import column_fill
from hedgerow.dispatcher.ddl.model import Classified, DdlKind, Fill
from hedgerow.dispatcher.ddl.scan import Scan
from hedgerow.dispatcher.ddl.tables import changing

_TABLESPACES = "DISCARD and IMPORT TABLESPACE exchange rows through files, which are not in the binlog"
_NOT_COLUMNS = ("INDEX", "KEY", "UNIQUE", "PRIMARY", "FULLTEXT", "SPATIAL", "CONSTRAINT", "FOREIGN", "CHECK")
_ORDERED = "which of several equal rows ALTER IGNORE TABLE keeps"


def alter_table(scan: Scan, *, ignoring: bool) -> Classified:
    """`ignoring`: MariaDB's ALTER IGNORE TABLE, which drops rows that a new key does not allow."""
    scan.takes("IF", "EXISTS")
    name = scan.name()
    scan.skip_wait()
    alter = _Alter(scan, name)
    while not scan.done:
        if alter.clause():
            return Classified(DdlKind.DML, pb.EVERYTHING, reason=_TABLESPACES)
        alter.finish_clause()
    changed = (name, *alter.partners, *alter.creates, *alter.drops)
    if ignoring:
        alter.fills.append(Fill(_ORDERED, ordered=True))
    creates, drops = tuple(alter.creates), tuple(alter.drops)
    return changing(changed, alter.needs, creates=creates, drops=drops, fills=tuple(alter.fills))


class _Alter:
    def __init__(self, scan: Scan, name: TableName) -> None:
        self._scan = scan
        self._name = name
        self.partners: list[TableName] = []
        self.creates: list[TableName] = []
        self.drops: list[TableName] = []
        self.needs: list[TableName] = []
        self.fills: list[Fill] = []

    def clause(self) -> bool:
        """Reads what a clause begins with, as far as it matters; True where rows come or go by files."""
        scan = self._scan
        if scan.takes("RENAME"):
            if not scan.looks_at("COLUMN", "INDEX", "KEY", "CONSTRAINT"):
                scan.takes_any("TO", "AS", "=")
                new = scan.name()
                if new != self._name:
                    self.drops.append(self._name)
                    self.creates.append(new)
        elif scan.takes("EXCHANGE", "PARTITION"):
            scan.identifier()
            scan.expect("WITH", "TABLE")
            self.partners.append(scan.name())
        elif scan.takes("CONVERT", "PARTITION"):  # MariaDB 10.7
            scan.identifier()
            scan.expect("TO", "TABLE")
            self.creates.append(scan.name())
        elif scan.takes("CONVERT", "TABLE"):
            self.drops.append(scan.name())
        elif scan.takes_any("DISCARD", "IMPORT"):
            return scan.looks_at("TABLESPACE", "PARTITION")
        elif scan.takes("ADD"):
            self._add()
        elif scan.takes_any("MODIFY", "CHANGE") and not scan.done:
            self._modify(renames=scan.tokens[scan.at - 1].value == "CHANGE")
        return False

    def _add(self) -> None:
        scan = self._scan
        if scan.looks_at(*_NOT_COLUMNS):
            return
        if scan.looks_at("PARTITION") and (scan.looks_at("(", "PARTITIONS", "IF", ahead=1)):
            return
        scan.takes("COLUMN")
        scan.skip_existence()
        if not scan.takes("("):
            self._column(new=True)
            return
        while not scan.done and not scan.looks_at(")"):
            if not scan.looks_at(*_NOT_COLUMNS):
                self._column(new=True)
            self.finish_clause(inside=True)
        scan.skip()

    def _modify(self, *, renames: bool) -> None:
        scan = self._scan
        scan.takes("COLUMN")
        scan.takes("IF", "EXISTS")
        former = scan.identifier() if renames else ""
        self._column(new=False, former=former)

    def _column(self, *, new: bool, former: str = "") -> None:
        """Looks at a column's definition without moving past it: finish_clause does, and finds its REFERENCES."""
        begin = self._scan.at
        column = self._scan.identifier()
        fill = column_fill(self._scan, column, new=new, former=former or column)
        if fill is not None:
            self.fills.append(fill)
        self._scan.at = begin

    def finish_clause(self, *, inside: bool = False) -> None:
        """To the next comma of this depth, or the end; `inside` parentheses their end."""
        scan, depth = self._scan, 0
        while not scan.done:
            if scan.takes("REFERENCES"):
                self.needs.append(scan.name())
                continue
            if depth == 0 and inside and scan.looks_at(")"):
                return
            if depth == 0 and scan.takes(","):
                return
            depth += scan.looks_at("(") - scan.looks_at(")")
            scan.skip()
