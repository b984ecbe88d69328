"""Reads CREATE, DROP and RENAME TABLE. The cursor stands after the word TABLE. Pure."""

from __future__ import annotations

from hedgerow.common.mysql.names import TableName
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.dispatcher.ddl.model import Classified, DdlKind, Edit, Fill
from hedgerow.dispatcher.ddl.scan import Scan


def create_table(scan: Scan) -> Classified:
    """CREATE TABLE, with the table it is LIKE and the parents of its foreign keys."""
    scan.takes("IF", "NOT", "EXISTS")
    name = scan.name()
    needs: list[TableName] = []
    edits: tuple[Edit, ...] = ()
    if scan.takes("LIKE") or scan.takes("(", "LIKE"):
        needs.append(scan.name())
    depth = 0
    while not scan.done:
        if scan.takes("REFERENCES"):
            needs.append(scan.name())
        elif scan.looks_at("SELECT", "TABLE") or _is_rows(scan):
            reason = "CREATE TABLE ... SELECT was logged as a statement: the rows it selected are not in the binlog"
            return Classified(DdlKind.DML, pb.EVERYTHING, reason=reason)
        elif depth == 0 and scan.looks_at("START") and scan.looks_at("TRANSACTION", ahead=1):
            # MySQL 8.0.21 logs CREATE TABLE ... SELECT so, with the rows after it in the same transaction (MariaDB too,
            # without these words); partitions come after them. After them a session may do nothing but BINLOG, COMMIT
            # and ROLLBACK (error 3977): the sink commits the table at once, and applies the rows with their position.
            before, end = scan.tokens[scan.at - 1], scan.tokens[scan.at + 1]
            edits = (Edit(before.start + len(before.text), end.start + len(end.text), ""),)
            scan.at += 2
        else:
            depth += scan.looks_at("(") - scan.looks_at(")")
            scan.skip()
    return changing((name,), needs, creates=(name,), edits=edits)


def _is_rows(scan: Scan) -> bool:
    """VALUES as a query, not of a partition. It is a reserved word, as SELECT and TABLE are."""
    return scan.looks_at("VALUES") and not scan.looks_at("LESS", "IN", ahead=1)


def drop_table(scan: Scan) -> Classified:
    """DROP TABLE of one or more tables."""
    edits = scan.if_exists()
    names = scan.names()
    scan.skip_wait()
    scan.takes_any("RESTRICT", "CASCADE")
    scan.expect_end()
    return changing(names, [], drops=names, edits=edits)


def rename_table(scan: Scan) -> Classified:
    """RENAME TABLE a TO b, c TO a: executed from left to right, so a name may be reused and tables swapped."""
    scan.takes("IF", "EXISTS")
    before: set[TableName] = set()
    after: set[TableName] = set()
    touched: dict[TableName, None] = {}
    while True:
        old = scan.name()
        scan.skip_wait()
        scan.expect("TO")
        new = scan.name()
        touched |= {old: None, new: None}
        if old not in after:
            before.add(old)
        after.discard(old)
        after.add(new)
        if not scan.takes(","):
            break
    scan.expect_end()
    creates, drops = tuple(sorted(after - before)), tuple(sorted(before - after))
    return changing(tuple(touched), [], creates=creates, drops=drops)


def changing(
    changed: tuple[TableName, ...],
    needed: list[TableName],
    *,
    creates: tuple[TableName, ...] = (),
    drops: tuple[TableName, ...] = (),
    fills: tuple[Fill, ...] = (),
    edits: tuple[Edit, ...] = (),
) -> Classified:
    needs = tuple(dict.fromkeys(name for name in needed if name not in changed))
    changes = tuple(dict.fromkeys(changed))
    return Classified(
        DdlKind.TABLE,
        touches=changes + needs,
        creates=creates,
        drops=drops,
        changes=changes,
        needs=needs,
        fills=fills,
        edits=edits,
    )
