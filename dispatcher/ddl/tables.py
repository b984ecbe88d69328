"""Reads CREATE, DROP, ALTER and RENAME TABLE. The cursor stands behind the word TABLE. Pure."""

from __future__ import annotations

from common.names import TableName
from common.pb.v1 import model_pb2 as pb
from dispatcher.ddl.model import Classified, Kind
from dispatcher.ddl.scan import Scan, Unclear


def create_table(statement: str, scan: Scan) -> Classified:
    """CREATE TABLE, with the table it is LIKE and the parents of its foreign keys."""
    scan.takes("IF", "NOT", "EXISTS")
    name = scan.name()
    needs: list[TableName] = []
    if scan.takes("LIKE") or scan.takes("(", "LIKE"):
        needs.append(scan.name())
    while not scan.done:
        if scan.takes("REFERENCES"):
            needs.append(scan.name())
        elif scan.takes("SELECT"):
            reason = "CREATE TABLE ... SELECT was logged as a statement: the rows it selected are not in the binlog"
            return Classified(Kind.DML, statement, pb.EVERYTHING, reason=reason)
        elif scan.looks_at("START") and scan.looks_at("TRANSACTION", ahead=1) and scan.at + 2 == len(scan.tokens):
            # MySQL 8.0.21 logs CREATE TABLE ... SELECT so, with the rows after it in the same transaction (MariaDB too,
            # without these words). After them a session may do nothing but BINLOG, COMMIT and ROLLBACK (error 3977):
            # the sink commits the table at once, and applies the rows with their position.
            statement = statement[: scan.tokens[scan.at].start].rstrip()
            break
        else:
            scan.skip()
    return _changing(statement, (name,), needs, creates=(name,))


def drop_table(statement: str, scan: Scan) -> Classified:
    """DROP TABLE of one or more tables."""
    scan.takes("IF", "EXISTS")
    names = scan.names()
    scan.skip_wait()
    scan.takes_any("RESTRICT", "CASCADE")
    if not scan.done:
        raise Unclear(f"{scan.tokens[scan.at].text[:40]!r} was not expected")
    return _changing(statement, names, [], drops=names)


def rename_table(statement: str, scan: Scan) -> Classified:
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
    if not scan.done:
        raise Unclear(f"{scan.tokens[scan.at].text[:40]!r} was not expected")
    creates, drops = tuple(sorted(after - before)), tuple(sorted(before - after))
    return _changing(statement, tuple(touched), [], creates=creates, drops=drops)


def scan_alter(statement: str, scan: Scan) -> Classified:
    """ALTER TABLE, with the clauses that name another table."""
    scan.takes("IF", "EXISTS")
    name = scan.name()
    changed, needs = [name], []
    creates: list[TableName] = []
    drops: list[TableName] = []
    depth = 0
    while not scan.done:
        if scan.takes("("):
            depth += 1
        elif scan.takes(")"):
            depth -= 1
        elif scan.takes("REFERENCES"):
            needs.append(scan.name())
        elif depth == 0 and scan.takes("RENAME"):
            if not scan.looks_at("COLUMN", "INDEX", "KEY", "CONSTRAINT"):
                scan.takes_any("TO", "AS", "=")
                new = scan.name()
                if new != name:
                    drops.append(name)
                    creates.append(new)
        elif depth == 0 and scan.takes("EXCHANGE", "PARTITION"):
            scan.identifier()
            scan.expect("WITH", "TABLE")
            changed.append(scan.name())
        elif depth == 0 and scan.takes("CONVERT", "PARTITION"):  # MariaDB 10.7
            scan.identifier()
            scan.expect("TO", "TABLE")
            creates.append(scan.name())
        elif depth == 0 and (scan.takes("DISCARD") or scan.takes("IMPORT")):
            reason = "DISCARD and IMPORT TABLESPACE exchange rows through files, which are not in the binlog"
            return Classified(Kind.DML, statement, pb.EVERYTHING, reason=reason)
        elif depth == 0 and scan.takes("CONVERT", "TABLE"):
            drops.append(scan.name())
        else:
            scan.skip()
    changed += [other for other in (*creates, *drops) if other not in changed]
    return _changing(statement, tuple(changed), needs, creates=tuple(creates), drops=tuple(drops))


def _changing(
    statement: str,
    changed: tuple[TableName, ...],
    needed: list[TableName],
    *,
    creates: tuple[TableName, ...] = (),
    drops: tuple[TableName, ...] = (),
) -> Classified:
    needs = tuple(dict.fromkeys(name for name in needed if name not in changed))
    changes = tuple(dict.fromkeys(changed))
    return Classified(
        Kind.TABLE, statement, touches=changes + needs, creates=creates, drops=drops, changes=changes, needs=needs
    )
